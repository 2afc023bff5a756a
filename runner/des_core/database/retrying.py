"""Whole transactions again, where another one was in the way of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from des_core.basics.errors import TransactionConflict

TRIES = 10
LONGEST_PAUSE_S = 2.0

T = TypeVar("T")


def retry_conflicts(attempt: Callable[[], T]) -> T:
    """What `attempt`, one whole transaction, returns; TransactionConflict if it never gets through.

    The server undid all of a transaction that it ended for the sake of another one.
    """
    try:
        return attempt()
    except TransactionConflict:
        return _retry(attempt)


def _retry(attempt: Callable[[], T]) -> T:
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransactionConflict),
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=LONGEST_PAUSE_S),
        stop=tenacity.stop_after_attempt(TRIES - 1),
        reraise=True,
    )
    return retrying(attempt)
