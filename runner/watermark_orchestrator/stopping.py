"""How a run is asked to stop, and where it looks: between rows, tasks and slices."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from des_core.errors import DesError, Interrupted, Terminated


class StopRequest:
    """Set by a signal; checked at safe points. A second signal ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self.signal: int | None = None

    def set(self, number: int = signal.SIGTERM) -> None:
        """Ask for the stop, and wake whoever registered with `on_stop`."""
        self.signal = self.signal or number
        self._event.set()
        for callback in tuple(self._callbacks):
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the stop or the timeout; whether it was the stop."""
        return self._event.wait(timeout_s)

    @contextmanager
    def on_stop(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` when the stop comes, while the block lasts."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)

    def error(self) -> DesError:
        """How the stop is told: Interrupted (exit 130) or Terminated (exit 143)."""
        if self.signal == signal.SIGINT:
            return Interrupted("stopped by Ctrl-C; what was committed stays", hint="run it again")
        return Terminated("stopped by a signal; what was committed stays", hint="run it again")

    def check(self) -> None:
        """Raise the error once the stop was asked for."""
        if self._event.is_set():
            raise self.error()


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """SIGINT and SIGTERM set the request; the second one ends the process at once, also safely.

    The handler only puts the number into a queue, whose `put` is reentrant. Setting an event or
    writing to a stream from a handler deadlocks or fails where the signal came in the middle of
    the same; a thread does both.
    """
    stop = StopRequest()
    asked: SimpleQueue[int | None] = SimpleQueue()
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        seen.append(number)
        asked.put(number)

    def obey() -> None:
        number = asked.get()
        if number is not None:
            stop.set(number)
            name = signal.Signals(number).name
            say(f"{name}: stopping at the next safe point; again to leave at once")

    obeyer = threading.Thread(target=obey, name="stop-on-signals", daemon=True)
    obeyer.start()
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        asked.put(None)
        obeyer.join()
