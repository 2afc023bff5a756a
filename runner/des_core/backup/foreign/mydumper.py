"""mydumper: its directory is its answer: `metadata`, a schema and data files for each table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from des_core.backup.compression import compression_of, read_decompressed
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.foreign.answer import ForeignAnswer, ForeignBackup, Tool, again, error
from des_core.basics.errors import DamagedData, UsageError

TOOL = Tool.MYDUMPER
TAIL_BYTES = 64
_TIME = re.compile(
    r"(?P<which>Started|Finished) dump at: (?P<time>[\d-]+[ T][\d:]+)", re.IGNORECASE
)
_DATA = re.compile(r"\.(?P<table>.+?)(?:\.\d+)*\.sql(?:\.gz|\.zst)?$")


@dataclass(frozen=True)
class Wanted:
    """The tables that must be in the dump, of which database, and how deep to look."""

    database: str
    tables: tuple[str, ...]
    level: Level


def read_directory(directory: Path, wanted: Wanted) -> ForeignAnswer:
    """The dump in the directory. UsageError where it is no directory of mydumper."""
    text, is_partial = _metadata(directory)
    times = {match["which"].lower(): _time(match["time"]) for match in _TIME.finditer(text)}
    if "started" not in times:
        raise UsageError("the metadata of mydumper names no start", path=str(directory))
    files = sorted(path for path in directory.iterdir() if path.is_file())
    backup = ForeignBackup(
        label=directory.name,
        started_at=times["started"],
        finished_at=None if is_partial else times.get("finished"),
        size_bytes=sum(path.stat().st_size for path in files),
    )
    findings: list[Finding] = []
    checked: set[Level] = set()
    if wanted.level >= Level.L1:
        endings, found = _read_all(files)
        findings += found
        if all(compression_of(path.name) for path in files if ".sql" in path.name):
            checked.add(Level.L1)
        else:
            findings.append(_no_checksums())
        if wanted.level >= Level.L2:
            findings += _complete(files, endings, wanted)
            checked.add(Level.L2)
    return ForeignAnswer((backup,), tuple(findings), (), frozenset(checked))


def _metadata(directory: Path) -> tuple[str, bool]:
    for name, is_partial in (("metadata", False), ("metadata.partial", True)):
        path = directory / name
        if path.is_file():
            return path.read_text(errors="replace"), is_partial
    raise UsageError(
        "this is no dump of mydumper: it has no metadata",
        hint="name the directory that was given to mydumper as --outputdir",
        path=str(directory),
    )


def _time(text: str) -> datetime:
    """mydumper writes the local time of its machine, without a zone."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _read_all(files: list[Path]) -> tuple[dict[Path, bytes], list[Finding]]:
    """The last bytes of every file, decompressed, and the files that cannot be read."""
    endings: dict[Path, bytes] = {}
    findings = []
    for path in files:
        tail = b""
        try:
            for chunk in read_decompressed(path, compression_of(path.name)):
                tail = (tail + chunk)[-TAIL_BYTES:]
        except (DamagedData, OSError) as exc:
            findings.append(error(Level.L1, "changed", f"{path.name}: {exc}", again(TOOL)))
        endings[path] = tail
    return endings, findings


def _complete(files: list[Path], endings: dict[Path, bytes], wanted: Wanted) -> Iterator[Finding]:
    data: dict[str, list[Path]] = {}
    schemas = set()
    for path in files:
        if not path.name.startswith(f"{wanted.database}.") or ".sql" not in path.name:
            continue
        match = _DATA.search(path.name[len(wanted.database) :])
        if match is None:
            continue
        table, is_schema = match["table"].removesuffix("-schema"), "-schema" in match["table"]
        schemas |= {table} if is_schema else set()
        data.setdefault(table, []).extend([] if is_schema else [path])
    for table in wanted.tables:
        if table not in schemas:
            message = f"the dump has no schema of {wanted.database}.{table}"
            yield error(Level.L2, "missing_table", message, again(TOOL))
    for path, tail in endings.items():
        if ".sql" in path.name and not tail.rstrip().endswith((b";", b"*/")):
            message = f"{path.name} ends in the middle of a statement: it is cut"
            yield error(Level.L2, "truncated", message, again(TOOL))


def _no_checksums() -> Finding:
    return Finding(
        Level.L1,
        Severity.WARNING,
        "no_checksums",
        "files that are not compressed have no checksum: a changed byte would not be seen",
        "use mydumper --compress",
    )
