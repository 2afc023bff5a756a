"""How Python's collector of cyclic garbage behaves in our programs."""

from __future__ import annotations

import atexit
import gc

# Rows come by the hundred thousand and leave by reference counting: looking at them for
# cycles every 700 objects costs a fifth of the time that it takes to read them.
YOUNG_OBJECTS = 100_000


def collect_rarely() -> None:
    """For the first line of a program: what imports make stays, and so do most objects.

    At the end nothing is collected any more, for the memory goes back as a whole.
    """
    gc.set_threshold(YOUNG_OBJECTS)
    atexit.register(gc.freeze)
