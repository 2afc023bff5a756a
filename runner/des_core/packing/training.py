"""Trains the dictionary of a slice on some of its files, and tells whether it pays.

Files that are not trained on are compressed with it and without. It is worth its name where it
saves, over all files of the slice, more than its own two copies take. The same contents in the same
order give the same dictionary: one thread, fixed parameters, nothing by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import zstandard

from des_core.shard_io import Compression, PayloadEncoder
from des_core.shard_io.dictionaries import FIRST_ID, Dictionary, with_id

# Few files have little in common that is worth a name.
FEWEST_FILES = 16
# One of so many is held back to be compressed with what the others gave.
HELD_BACK = 4
# Small slices can pay for small dictionaries only.
SIZES = (4 << 10, 16 << 10, 112 << 10, 256 << 10)
# The samples must be larger than the dictionary.
CONTENT_PER_BYTE = 4
COPIES = 2
# What is saved less is within what a sample can be wrong by.
LEAST_GAIN = 0.02
# Of zstd's fast cover: length of a segment, of what is matched in it, and of its table of counts.
SEGMENT, MATCHED, TABLE_BITS, ACCELERATION = 500, 8, 20, 1


@dataclass(frozen=True, slots=True)
class Trained:
    """What training came to: the dictionary, and bytes stored of the held files with and without.

    Without one that pays, `content` is None and both numbers are the same.
    """

    content: bytes | None
    stored: int
    stored_alone: int


def train(contents: Sequence[bytes], compression: Compression, share: float) -> Trained:
    """The best dictionary for these files, which are that `share` of all files, if one pays."""
    held = contents[::HELD_BACK]
    trained_on = [content for number, content in enumerate(contents) if number % HELD_BACK]
    alone = stored_bytes(held, compression)
    best = Trained(None, alone, alone)
    if len(contents) < FEWEST_FILES or not alone:
        return best
    scale = sum(map(len, contents)) / sum(map(len, held)) / share
    most_saved = LEAST_GAIN * alone * scale
    enough = sum(map(len, trained_on)) // CONTENT_PER_BYTE
    for size in SIZES:
        content = _train_one(trained_on, size) if size <= enough else None
        if content is None:
            continue
        stored = stored_bytes(held, compression, with_id(content, FIRST_ID))
        saved = (alone - stored) * scale - COPIES * len(content)
        if saved > most_saved:
            best, most_saved = Trained(content, stored, alone), saved
    return best


def stored_bytes(
    contents: Iterable[bytes], compression: Compression, dictionary: Dictionary | None = None
) -> int:
    """What the files take in shards, each by itself."""
    encode = PayloadEncoder(compression, dictionary).encode
    return sum(len(encode(content)[1]) for content in contents)


def _train_one(contents: list[bytes], size: int) -> bytes | None:
    """None where the library finds too little to go by."""
    try:
        trained = zstandard.train_dictionary(
            size,
            list(contents),
            k=SEGMENT,
            d=MATCHED,
            f=TABLE_BITS,
            accel=ACCELERATION,
            dict_id=FIRST_ID,
        )
    except zstandard.ZstdError:
        return None
    return trained.as_bytes()
