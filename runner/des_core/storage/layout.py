"""What lies where below `output_dir`: shards flat in it, everything else in directories."""

from __future__ import annotations

from datetime import date

from des_core.basics.routing import ShardName
from des_core.shard_io.bigfiles import BIG_FILES_DIR
from des_core.shard_io.dictionaries import DICTIONARIES_DIR

MANIFESTS_DIR = "_manifests"
DAMAGED_DIR = "_damaged"
SUBDIRECTORIES = (BIG_FILES_DIR, MANIFESTS_DIR, DICTIONARIES_DIR)

# The names of shards by (day, bucket), each in the order of parts.
ShardsByBucket = dict[tuple[date, int], tuple[str, ...]]


def set_aside_as(name: str) -> str:
    """Where a damaged shard or manifest goes; a number follows where that name is taken."""
    return f"{DAMAGED_DIR}/{name.rpartition('/')[2]}"


def place_of(name: ShardName) -> tuple[date, int]:
    """Day and bucket."""
    return name.day, name.bucket
