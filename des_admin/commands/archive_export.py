"""`export`: all files of some shards, into a directory or as a tar.

Shards of one (day, bucket) are read in the order of their parts, and a uid counts where it comes
first, as for every reader. Where that entry is damaged, a later part may have it whole. What cannot
be written is told at the end, after everything else was.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from des_admin.commands.archive_files import FILE_MODE, file_name_of, time_there, write_file
from des_admin.commands.archive_get import require_apart
from des_admin.context import Context
from des_core.basics.errors import CheckFailed, DamagedShard, DesError, Refused, UsageError
from des_core.basics.routing import parse_shard_name
from des_core.basics.wording import numbered
from des_core.reading.lost_shards import lost_shard
from des_core.reading.retriever import Retriever, StoredFile

# An entry up to this size is decoded as a whole before its tar header is written.
WHOLE_BYTES = 8 << 20
INCOMPLETE = "THIS-TAR-IS-INCOMPLETE"

# A file, and its content in pieces: anew with each call.
_Entry = tuple[StoredFile, Callable[[], Iterator[bytes]]]


@dataclass(slots=True)
class Exported:
    """What has come out so far; `damage` and `refusal` are the first of their kind."""

    files: int = 0
    size_bytes: int = 0
    damage: DamagedShard | None = None
    damaged: int = 0
    refusal: DesError | None = None
    refused: int = 0

    def count(self, file: StoredFile) -> None:
        self.files += 1
        self.size_bytes += file.size_bytes

    def note(self, damage: DamagedShard) -> None:
        self.damage = self.damage or damage
        self.damaged += 1

    def refuse(self, refusal: DesError) -> None:
        self.refusal = self.refusal or refusal
        self.refused += 1

    def raise_first(self) -> None:
        """Damage counts for more than what was there already."""
        for error in (self.damage, self.refusal):
            if error is not None:
                raise error


def require_shards(shards: list[str], day: str | None) -> None:
    """CheckFailed for a day without any: an empty answer would look like a day without files."""
    if not shards and day is not None:
        raise CheckFailed(
            "the archive has no shard of this day",
            hint="see the days that it has: ls. Days are of created_at in UTC; shards of other "
            "writers may have the day of their own clock",
            day=day,
        )


def export_to_directory(
    context: Context, retriever: Retriever, shards: list[str], to: Path, *, force: bool
) -> None:
    """Write each file under its uid. What an earlier try wrote there is left as it is.

    `DamagedShard` or `Refused` at the end, after all that is sound and free has been written.
    """
    if not to.is_dir():
        raise UsageError(
            "--to must be a directory",
            path=str(to),
            hint="create it, or end it with a slash: then it is made",
        )
    require_apart(retriever, to)
    exported = Exported()
    began = time_there(to) if force else None
    for file, content in _files(retriever, shards, exported):
        try:
            write_file(content(), to / file_name_of(file.uid), force=force, began=began)
        except DamagedShard as exc:
            exported.note(exc)
        except Refused as exc:
            exported.refuse(exc)
        else:
            exported.count(file)
    context.emit(
        "archive-export",
        {
            "directory": to,
            "shards": len(shards),
            "files": exported.files,
            "size_bytes": exported.size_bytes,
            "damaged": exported.damaged,
            "refused": exported.refused,
        },
        lambda out: out.print(
            f"{numbered(exported.files, 'file')} of {numbered(len(shards), 'shard')}: in {to}"
        ),
    )
    exported.raise_first()


def export_as_tar(context: Context, retriever: Retriever, shards: list[str]) -> None:
    """Stream a tar. Where something is damaged, all the rest is in it, and it has no proper end."""
    if context.wants_json:
        raise UsageError("the tar goes to stdout, so --output json needs --to DIR")
    if sys.stdout.isatty():
        raise UsageError("a tar is nothing for a terminal", hint="--to DIR, or > day.tar")
    exported = Exported()
    out = _Counted(sys.stdout.buffer)
    tar = tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
    for file, content in _files(retriever, shards, exported):
        try:
            tar.addfile(_header(file), _checked(file, content))
        except DamagedShard as exc:
            exported.note(exc)
        else:
            exported.count(file)
    if exported.damage is not None:
        # A header without its content: no program takes this for the end of a whole tar.
        out.write(_member(INCOMPLETE, size=1).tobuf(tarfile.PAX_FORMAT))
        raise exported.damage
    tar.close()
    context.say(f"{numbered(exported.files, 'file')} of {numbered(len(shards), 'shard')}")


def _files(retriever: Retriever, shards: list[str], exported: Exported) -> Iterator[_Entry]:
    """Each file once, with its content, to be read before the next one."""
    for _, parts in groupby(shards, lambda name: name.rpartition("_")[0]):
        seen: set[str] = set()
        for shard in parts:
            try:
                with retriever.opened(shard) as reader:
                    for entry in reader.sound_entries(exported.note):
                        if entry.uid in seen:
                            continue
                        damaged = exported.damaged
                        yield (
                            StoredFile(entry.uid, shard, entry),
                            lambda reader=reader, entry=entry: reader.stream(entry),  # type: ignore[misc]
                        )
                        if exported.damaged == damaged:  # else a later part may have it whole
                            seen.add(entry.uid)
            except FileNotFoundError:
                exported.note(lost_shard(shard))
            except DamagedShard as exc:
                exported.note(exc)


def _checked(file: StoredFile, content: Callable[[], Iterator[bytes]]) -> io.RawIOBase | BinaryIO:
    """The content after all of it was decoded once; `DamagedShard` before a byte is written."""
    if file.size_bytes <= WHOLE_BYTES:
        return io.BytesIO(b"".join(content()))
    for _ in content():
        pass
    return _Pieces(content())


def _header(file: StoredFile) -> tarfile.TarInfo:
    header = _member(file_name_of(file.uid), file.size_bytes)
    name = parse_shard_name(file.shard)
    if name is not None:  # created_at itself is in the database only
        header.mtime = int(datetime.combine(name.day, time(), UTC).timestamp())
    return header


def _member(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = FILE_MODE
    return header


class _Counted(io.RawIOBase):
    """Standard output as `tarfile` wants it: it asks where it is, and goes nowhere else."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._position = 0

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._out.write(data)
        self._position += len(data)
        return len(data)


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
