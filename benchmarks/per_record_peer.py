"""A packer that keeps a flag for each record, as such packers are commonly written: a peer.

One process reads a batch of rows that are not archived, packs their files one after the other, and
marks each by an UPDATE of its own (`--update=row`) or all by one (`--update=batch`); it commits
once for each batch. It is spared what a careful one would pay on top: a day's shards stay open over
all batches and are synced once, before anything is marked, and nothing is read back.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path

import psycopg
import yaml

from des_core.basics.routing import bucket_of, shard_name
from des_core.shard_io import Compression, PayloadEncoder, ShardWriter

N_BITS = 8
PENDING = (
    "SELECT uid, created_at, file_location FROM files WHERE NOT archived"
    " AND (created_at, uid) > (%s, %s) ORDER BY created_at, uid LIMIT %s"
)
MARK = {
    "row": "UPDATE files SET archived = true WHERE uid = %s",
    "batch": "UPDATE files SET archived = true WHERE uid = ANY(%s)",
}
Row = tuple[str, object, str]


def read_batches(connection: psycopg.Connection, size: int) -> Iterator[list[Row]]:
    """What waits, oldest first, in pages by key."""
    place: tuple[object, str] = ("-infinity", "")
    while rows := connection.execute(PENDING, (*place, size)).fetchall():
        yield rows
        place = (rows[-1][1], rows[-1][0])


def pack(batches: list[list[Row]], output: Path) -> None:
    """A shard for each day and bucket; all of them durable at the end."""
    encoder = PayloadEncoder(Compression())
    writers: dict[str, ShardWriter] = {}
    with ExitStack() as stack:
        files = []
        for uid, created_at, location in (row for rows in batches for row in rows):
            day = created_at.astimezone(UTC).date()
            name = shard_name(day, bucket_of(uid, N_BITS), 0, N_BITS)
            if name not in writers:
                files.append(stack.enter_context((output / name).open("xb", buffering=0)))
                writers[name] = ShardWriter(files[-1], encoder=encoder)
            writers[name].add(uid, Path(location).read_bytes())
        for writer, file in zip(writers.values(), files, strict=True):
            writer.finish()
            os.fsync(file.fileno())


def mark(connection: psycopg.Connection, batches: list[list[Row]], update: str) -> None:
    """A transaction for each batch."""
    for rows in batches:
        uids = [row[0] for row in rows]
        with connection.transaction():
            for value in uids if update == "row" else [uids]:
                connection.execute(MARK[update], (value,))


def main() -> None:
    """Pack and mark what the configuration names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--update", choices=sorted(MARK), required=True)
    parser.add_argument("--batch-size", type=int, default=1000)
    options = parser.parse_args()
    tree = yaml.safe_load(options.config.read_text())
    url = tree["database"]["url"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        batches = list(read_batches(connection, options.batch_size))
        pack(batches, Path(tree["packer"]["output_dir"]))
        mark(connection, batches, options.update)


if __name__ == "__main__":
    main()
