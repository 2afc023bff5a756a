"""A limit of time for what may wait for something that never answers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from des_core.basics.errors import Refused


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Refused where the block takes longer; None is no limit. For the main thread only."""
    if seconds is None:
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Refused(
            f"it took longer than {seconds:g} s",
            hint="give it more time: --timeout; or look less deep: --level 0",
        )

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
