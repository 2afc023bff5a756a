"""`archive export`: everything in some shards, into a directory or as a tar on standard output.

Where several parts of a (day, bucket) have a uid, the first one counts, as `get` has it too.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import groupby
from pathlib import Path

from des_admin.commands.archive_files import file_name_of, write_file
from des_admin.context import Context
from des_core.basics.errors import DamagedShard, UsageError
from des_core.basics.routing import parse_shard_name
from des_core.reading.retriever import Retriever, StoredFile

OWNER_MAY_WRITE = 0o644


@dataclass(slots=True)
class Exported:
    """What has come out so far; `damage` is the first shard's that could not be read whole."""

    files: int = 0
    size_bytes: int = 0
    damage: DamagedShard | None = None
    damaged: int = 0

    def count(self, file: StoredFile) -> None:
        self.files += 1
        self.size_bytes += file.size_bytes

    def note(self, damage: DamagedShard) -> None:
        self.damage = self.damage or damage
        self.damaged += 1


def export_to_directory(
    context: Context, retriever: Retriever, shards: list[str], to: Path, *, force: bool
) -> None:
    """Write each file under its uid. What an earlier try wrote there is left as it is.

    `DamagedShard` at the end, after all that is sound has been written.
    """
    if not to.is_dir():
        raise UsageError("--to must be a directory", path=str(to), hint="create it first")
    exported = Exported()
    for file, pieces in _files(retriever, shards, exported):
        try:
            write_file(pieces, to / file_name_of(file.uid), force=force)
        except DamagedShard as exc:
            exported.note(exc)
            continue
        exported.count(file)
    context.emit(
        "archive-export",
        {
            "directory": to,
            "shards": len(shards),
            "files": exported.files,
            "size_bytes": exported.size_bytes,
            "damaged": exported.damaged,
        },
        lambda out: out.print(f"{exported.files:,} files of {len(shards):,} shards are in {to}"),
    )
    if exported.damage is not None:
        raise exported.damage


def export_as_tar(context: Context, retriever: Retriever, shards: list[str]) -> None:
    """Stream a tar. It ends without its end mark where a shard is damaged: half is not whole."""
    if context.wants_json:
        raise UsageError("the tar goes to stdout, so --output json needs --to DIR")
    if sys.stdout.isatty():
        raise UsageError("a tar is nothing for a terminal", hint="--to DIR, or > day.tar")
    exported = Exported()
    tar = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
    for file, pieces in _files(retriever, shards, exported):
        tar.addfile(_header(file), _Pieces(pieces))
        exported.count(file)
        if exported.damage is not None:
            break
    if exported.damage is not None:
        raise exported.damage
    tar.close()
    context.say(f"{exported.files:,} files of {len(shards):,} shards")


def _files(
    retriever: Retriever, shards: list[str], exported: Exported
) -> Iterator[tuple[StoredFile, Iterator[bytes]]]:
    """Each file once, with its content, to be read before the next one."""
    for _, parts in groupby(shards, lambda name: name.rpartition("_")[0]):
        seen: set[str] = set()
        for shard in parts:
            try:
                with retriever.opened(shard) as reader:
                    for entry in reader.entries():
                        if entry.uid in seen:
                            continue
                        damaged = exported.damaged
                        yield StoredFile(entry.uid, shard, entry), reader.stream(entry)
                        if exported.damaged == damaged:  # else a later part may have it whole
                            seen.add(entry.uid)
            except FileNotFoundError:
                exported.note(DamagedShard("a shard that was listed is gone", shard=shard))
            except DamagedShard as exc:
                exported.note(exc)


def _header(file: StoredFile) -> tarfile.TarInfo:
    header = tarfile.TarInfo(file_name_of(file.uid))
    header.size = file.size_bytes
    header.mode = OWNER_MAY_WRITE
    name = parse_shard_name(file.shard)
    if name is not None:  # created_at itself is in the database only
        header.mtime = int(datetime.combine(name.day, time(), UTC).timestamp())
    return header


class _Pieces(io.RawIOBase):
    """A file that is read from pieces, as `tarfile` wants one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer at the end only."""
        taken = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            taken.append(piece)
            have += len(piece)
        whole = b"".join(taken)
        cut = len(whole) if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]
