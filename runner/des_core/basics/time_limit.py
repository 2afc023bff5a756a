"""A limit on the time of anything that may never answer: a database, a disk of the network.

A system call cannot be taken back. The thread that waits in it is left behind, and ends with the
process at the latest: what is called here must only look, and change nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from des_core.basics.errors import NoAnswer

T = TypeVar("T")


def within(limit_s: float | None, look: Callable[[], T]) -> T:
    """What `look` returns or raises; NoAnswer if it is still at it after `limit_s` seconds."""
    if limit_s is None:
        return look()
    found: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            found.append(look())
        except BaseException as exc:  # handed on to the one that waits
            raised.append(exc)

    thread = threading.Thread(target=work, name="des-look", daemon=True)
    thread.start()
    thread.join(max(limit_s, 0.0))
    if raised:
        raise raised[0]
    if found:
        return found[0]
    raise NoAnswer(
        f"no answer within {limit_s:.0f} s",
        hint="see what holds it up: a lock, a server that is stopped, a disk of the network; "
        "des-admin doctor names the part that does not answer",
    )
