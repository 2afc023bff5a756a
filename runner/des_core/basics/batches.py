"""Some items at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one of those that are left; nothing is read ahead."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
