"""A signal may come at any moment: while the program talks, and while it waits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[2] / "runner"

# Signals itself from a timer's handler, again and again, while the main thread does nothing but
# write and wait: whatever is not reentrant fails or hangs within a few hundred rounds.
PROGRAM = """
import signal, sys
from watermark_orchestrator.stopping import stop_on_signals

def say(text):
    print(text, file=sys.stderr, flush=True)

for round in range(300):
    with stop_on_signals(say) as stop:
        handler = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: handler(signal.SIGTERM, None))
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + round % 10 * 0.0001)
        while not stop.wait(0.0001):
            say("working")
    assert stop.signal == signal.SIGTERM
"""


def test_a_signal_in_the_middle_of_talk_and_waiting() -> None:
    done = _run(PROGRAM)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("SIGTERM: stopping at the next safe point") == 300


def test_a_signal_that_another_thread_gets_ends_the_wait() -> None:
    """So the kernel decides, for one, where the next signal follows before the first was seen."""
    program = """
import signal, threading, time
from watermark_orchestrator.stopping import stop_on_signals

def hit():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

with stop_on_signals(lambda text: None) as stop:
    threading.Timer(0.2, hit).start()
    began = time.monotonic()
    assert stop.wait(20) and stop.signal == signal.SIGTERM
    assert time.monotonic() - began < 10
"""
    done = _run(program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_the_process(number: signal.Signals) -> None:
    program = f"""
import signal
from watermark_orchestrator.stopping import stop_on_signals

with stop_on_signals(lambda text: None) as stop:
    signal.raise_signal({int(number)})
    assert stop.wait(10) and stop.signal == {int(number)}
    signal.raise_signal({int(number)})
    print("still here")
"""
    done = _run(program)
    assert done.returncode == -number
    assert done.stdout == ""


def _run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(RUNNER)},
    )
