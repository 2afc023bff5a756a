"""The exporter as its own process, and waiting for what it serves."""

import re
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.program.own_process import program_command, program_env


@contextmanager
def exporter(config: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`des-admin exporter` with its URL; ended by SIGTERM."""
    command = program_command(
        "--config", str(config), "exporter", "--port", "0", "--interval", "0.1", *arguments
    )
    process = subprocess.Popen(
        command,
        cwd=config.parent,
        env=program_env(config.parent),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    drain = threading.Thread(target=process.stderr.read)
    try:
        first = process.stderr.readline()
        found = re.search(r"https?://\S+", first)
        assert found, first + process.stderr.read()
        drain.start()
        yield found[0], process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            if drain.ident is not None:
                drain.join()
            process.stderr.close()


def scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def wait_until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    ticker = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if condition():
            return
        ticker.wait(0.05)
    pytest.fail("it did not happen in time")
