"""What lies where below `output_dir`: shards flat in it, everything else in directories."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from des_core.basics.routing import ShardName
from des_core.shard_io.bigfiles import BIG_FILES_DIR
from des_core.shard_io.dictionaries import DICTIONARIES_DIR

OUTPUT = ""
MANIFESTS_DIR = "_manifests"
DAMAGED_DIR = "_damaged"
# What a repair puts beside the shards that it set aside, for one of which nothing was left.
LOST_SUFFIX = ".lost"
SUBDIRECTORIES = (BIG_FILES_DIR, MANIFESTS_DIR, DICTIONARIES_DIR)

# The names of shards by (day, bucket), each in the order of parts.
ShardsByBucket = dict[tuple[date, int], tuple[str, ...]]


def set_aside_as(name: str) -> str:
    """Where a damaged shard or manifest goes; a number follows where that name is taken."""
    return f"{DAMAGED_DIR}/{name.rpartition('/')[2]}"


def is_set_aside(names: Iterable[str], name: str) -> bool:
    """Whether one of the `names` in `_damaged/` is that of a shard, or stands for a lost one."""
    return any(other == name or other.startswith(f"{name}.") for other in names)


def place_of(name: ShardName) -> tuple[date, int]:
    """Day and bucket."""
    return name.day, name.bucket
