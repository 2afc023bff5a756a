"""How a run is asked to stop, and where it looks: between rows, tasks and slices."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from des_core.basics.errors import DesError, Interrupted, Terminated

ASKING = (signal.SIGINT, signal.SIGTERM)


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

    The kernel may hand a signal to any thread, and Python runs handlers only once the main thread
    goes on: one that waits would sleep on. So a thread of ours reads the numbers from the wakeup
    file, sets the request, and that ends the wait. The handler itself writes to the same place:
    setting an event or writing to a stream from a handler deadlocks or fails where the signal came
    in the middle of the same.
    """
    stop = StopRequest()
    asked, asking = socket.socketpair()
    asking.setblocking(False)
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        seen.append(number)
        with suppress(BlockingIOError):
            asking.send(bytes((number,)))

    def obey() -> None:
        while received := asked.recv(1):
            number = received[0]
            if number not in ASKING or stop.is_set():
                continue
            stop.set(number)
            name = signal.Signals(number).name
            say(f"{name}: stopping at the next safe point; again to leave at once")

    obeyer = threading.Thread(target=obey, name="stop-on-signals", daemon=True)
    obeyer.start()
    before = {number: signal.signal(number, handle) for number in ASKING}
    file_before = signal.set_wakeup_fd(asking.fileno(), warn_on_full_buffer=False)
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(file_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        asking.close()
        obeyer.join()
        asked.close()
