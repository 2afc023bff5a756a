"""What Barman's own commands do not look at, read from its directories on this machine.

`barman recover` copies every file that its catalogue of WAL (`xlog.db`) names since the backup, and
fails for one that is gone, also where it lies behind the backup's end. And pg_verifybackup cannot
tell one pg_control from another: it holds its own CRC-32C, so the checksum of all is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from des_core.backup.foreign.wal import NAME_LENGTH, read_head

CATALOGUE = "xlog.db"
_FIELDS = 4
_COMPRESSIONS = frozenset(
    {"None", "gzip", "pigz", "pygzip", "bzip2", "pybzip2", "xz", "zstd", "lz4", "snappy", "custom"}
)


def find_catalogue_faults(listed: Path, first: str, last: str) -> Iterator[str]:
    """Entries of the catalogue beside the WAL file `listed` that would stop a restore.

    OSError where the catalogue cannot be read.
    """
    wals = listed.parent.parent
    names = set()
    text = (wals / CATALOGUE).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != _FIELDS or not fields[1].isdecimal() or not _is_number(fields[2]):
            yield f"line {number} of {CATALOGUE} is damaged"
            return
        name, size_bytes, _at, compression = fields
        names.add(name)
        if compression not in _COMPRESSIONS:
            yield f"line {number} of {CATALOGUE} is damaged"
        if name[: len(first)] < first:
            continue
        path = wals / (name[:16] if len(name) >= len(first) else "") / name
        if not path.is_file():
            yield f"{name} is gone, which {CATALOGUE} names"
        elif compression != "None" and path.stat().st_size != int(size_bytes):
            yield f"{name} has not the {int(size_bytes):,} bytes that {CATALOGUE} says"
        elif compression == "None" and len(name) == NAME_LENGTH:
            yield from _find_cut(path)
    if not {first, last} <= names:
        yield f"{CATALOGUE} does not name the WAL of the backup"


def _find_cut(path: Path) -> Iterator[str]:
    """By what the segment says itself.

    Its size in the catalogue may be that of a moment when the server was still writing it.
    """
    try:
        read_head(path)
    except ValueError as exc:
        yield f"{path.name}: {exc}"


def read_system_id(data_files: list[Path]) -> str | None:
    """The cluster by the backup's own pg_control; None where that cannot be read here."""
    for path in data_files:
        if path.parts[-2:] == ("global", "pg_control"):
            try:
                with path.open("rb") as file:
                    return str(int.from_bytes(file.read(8), "little"))
            except OSError:
                return None
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
