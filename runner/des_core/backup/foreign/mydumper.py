"""mydumper: its directory is its answer: `metadata`, a schema and data files for each table.

Nothing in it says which files belong to it: a data file that is gone leaves no hole. So the rows
in the files are counted, and held against the metadata where that counts them (since 0.12), and
against the live table: mydumper may have been told to write a part of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from des_core.backup.compression import compression_of, read_decompressed
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.foreign.answer import (
    ForeignAnswer,
    ForeignBackup,
    Tool,
    again,
    error,
    unknown,
)
from des_core.basics.errors import DamagedData, UsageError
from des_core.basics.identifiers import Dialect, quote
from des_core.basics.wording import numbered

TOOL = Tool.MYDUMPER
TAIL_BYTES = 64
# Its times are whole seconds, and files are closed a little later.
TIME_TOLERANCE = timedelta(seconds=60)
_TIME = re.compile(
    r"(?P<which>Started|Finished) dump at: (?P<time>[\d-]+[ T][\d:]+)", re.IGNORECASE
)
_DATA = re.compile(r"\.(?P<table>.+?)(?:\.\d+)*\.sql(?:\.gz|\.zst)?$")
_SCHEMA = re.compile(r"^(?:\.(?P<table>.+))?-schema-?(?P<kind>[a-z]*)\.sql(?:\.gz|\.zst)?$")
_SECTION = re.compile(r"^\[`(?P<database>.+)`\.`(?P<table>.+)`\]$", re.MULTILINE)
_ROWS = re.compile(r"^rows\s*=\s*(?P<rows>\d+)\s*$", re.MULTILINE)
# A row begins at the start of a line, or right behind VALUES; data holds no line feed of its own.
_ROW = re.compile(rb"^,?\(|\bVALUES ?\(", re.MULTILINE)
_STATEMENT = re.compile(
    rb"^(?P<verb>CREATE|INSERT|REPLACE)\b[^\n]*?(?P<name>`(?:[^`\n]|``)+`)(?=[ (.\n]|$)",
    re.MULTILINE,
)
_INTO = (b"INSERT", b"REPLACE")
_DEFINITION = re.compile(
    rb"^CREATE\b[^\n]*?\b(?P<kind>TABLE|VIEW|TRIGGER|DATABASE|PROCEDURE|FUNCTION|EVENT|SEQUENCE)\b"
    rb"[^\n]*?(?P<name>`(?:[^`\n]|``)+`)",
    re.MULTILINE,
)
# By what follows `-schema` in the name of a file.
_KINDS = {
    "": {b"TABLE"},
    "view": {b"VIEW"},
    "triggers": {b"TRIGGER"},
    "create": {b"DATABASE"},
    "post": {b"PROCEDURE", b"FUNCTION", b"EVENT"},
    "sequence": {b"SEQUENCE"},
}


@dataclass(frozen=True)
class Wanted:
    """The tables that must be in the dump, of which database, and how deep to look.

    The first is the application's; `count_until` says how many rows of it the live table has up
    to a moment, None where nobody can be asked.
    """

    database: str
    tables: tuple[str, ...]
    level: Level
    count_until: Callable[[datetime], int] | None = None


@dataclass(frozen=True)
class FileContent:
    """What reading a file whole told: its last bytes, rows, hash, and what it says.

    Statements are by verb and name, definitions by kind and name.
    """

    tail: bytes
    rows: int
    statements: frozenset[tuple[bytes, bytes]]
    definitions: frozenset[tuple[bytes, bytes]]
    sha256: str


def read_directory(directory: Path, wanted: Wanted) -> ForeignAnswer:
    """The dump in the directory. UsageError where it is no directory of mydumper."""
    text, is_partial = _metadata(directory)
    try:
        times = {match["which"].lower(): _time(match["time"]) for match in _TIME.finditer(text)}
    except ValueError as exc:
        raise UsageError(
            "the metadata of mydumper names a time that is none", path=str(directory)
        ) from exc
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
        contents, found = _read_all(files)
        findings += found
        if all(compression_of(path.name) for path in files if ".sql" in path.name):
            checked.add(Level.L1)
        else:
            findings.append(_no_checksums())
        if wanted.level >= Level.L2:
            dump = _Dump(backup, files, contents, wanted, _counted(text, wanted.database))
            findings += dump.find_faults()
            checked.add(Level.L2)
    return ForeignAnswer((backup,), tuple(findings), (), frozenset(checked))


@dataclass(frozen=True)
class _Dump:
    """A dump that was read whole."""

    backup: ForeignBackup
    files: list[Path]
    contents: Mapping[Path, FileContent]
    wanted: Wanted
    counted: Mapping[str, int]

    def find_faults(self) -> Iterator[Finding]:
        data, schemas = self._parts()
        for table in dict.fromkeys((*self.wanted.tables, *data)):
            if table not in schemas:
                message = f"the dump has no schema of {self.wanted.database}.{table}"
                yield error(Level.L2, "missing_table", message, again(TOOL))
        yield from self._cut()
        yield from self._of_another_file(data)
        yield from self._of_another_time()
        for table in self.wanted.tables:
            rows = sum(self.contents[path].rows for path in data.get(table, []))
            if table in self.counted or table == self.wanted.tables[0]:
                yield from self._compare_rows(table, rows)

    def _parts(self) -> tuple[dict[str, list[Path]], set[str]]:
        """Data files by table, and the tables that have a schema."""
        data: dict[str, list[Path]] = {}
        schemas = set()
        for path in self.files:
            if not path.name.startswith(f"{self.wanted.database}.") or ".sql" not in path.name:
                continue
            match = _DATA.search(path.name[len(self.wanted.database) :])
            if match is None:
                continue
            table, is_schema = match["table"].removesuffix("-schema"), "-schema" in match["table"]
            if match["table"].endswith("-schema"):
                schemas.add(table)
            elif is_schema:
                # A view, its triggers: it stands on the table of the same name.
                data.setdefault(match["table"].partition("-schema-")[0], [])
            else:
                data.setdefault(table, []).append(path)
        return data, schemas

    def _cut(self) -> Iterator[Finding]:
        for path, content in self.contents.items():
            if ".sql" not in path.name or content.tail.rstrip().endswith((b";", b"*/")):
                continue
            if content.tail:
                message = f"{path.name} ends in the middle of a statement: it is cut"
                yield error(Level.L2, "truncated", message, again(TOOL))
            elif not compression_of(path.name):
                message = f"{path.name} is empty: its table had no rows, or the file was cut"
                hint = "dump with mydumper --compress: then an empty file proves itself"
                yield unknown(Level.L2, "empty_file", message, hint)
            # A whole compressed stream of nothing is what --build-empty-files writes.

    def _of_another_file(self, data: Mapping[str, list[Path]]) -> Iterator[Finding]:
        """Files whose statements are not those of their name, or that are there twice."""
        seen: dict[str, Path] = {}
        for table, paths in data.items():
            name = _quoted(table)
            for path in paths:
                content = self.contents[path]
                if any(verb not in _INTO or of != name for verb, of in content.statements):
                    message = f"{path.name} holds something else than rows of {table}"
                    yield error(Level.L2, "wrong_content", message, again(TOOL))
                elif content.rows and seen.setdefault(content.sha256, path) != path:
                    message = f"{path.name} holds the same as {seen[content.sha256].name}"
                    yield error(Level.L2, "wrong_content", message, again(TOOL))
        schemas = (path for path in self.files if "-schema" in path.name)
        for path in schemas:
            match = _SCHEMA.search(path.name.removeprefix(self.wanted.database))
            wanted = _KINDS.get(match["kind"]) if match else None
            content = self.contents[path]
            kinds = {kind for kind, _name in content.definitions}
            names = {name for _kind, name in content.definitions}
            if not kinds or any(verb != b"CREATE" for verb, _name in content.statements):
                message = f"{path.name} holds no definition"
                yield error(Level.L2, "wrong_content", message, again(TOOL))
            elif match and (
                (wanted is not None and not kinds <= wanted)
                or (match["kind"] in ("", "view") and names != {_quoted(match["table"] or "")})
            ):
                message = f"{path.name} holds another definition than its name says"
                yield error(Level.L2, "wrong_content", message, again(TOOL))

    def _of_another_time(self) -> Iterator[Finding]:
        """Files that were not written while this dump ran."""
        start = self.backup.started_at - TIME_TOLERANCE
        end = (self.backup.finished_at or self.backup.started_at) + TIME_TOLERANCE
        strays = [
            path.name
            for path in self.files
            if not start <= datetime.fromtimestamp(path.stat().st_mtime, UTC) <= end
        ]
        if strays:
            message = (
                f"{numbered(len(strays), 'file')} were not written during the dump, as {strays[0]}"
            )
            hint = "copy dumps with their times: rsync -a, cp -a; or make another one"
            yield unknown(Level.L2, "other_time", message, hint)

    def _compare_rows(self, table: str, rows: int) -> Iterator[Finding]:
        expected = self.counted.get(table)
        if expected is not None:
            if rows != expected:
                found = numbered(rows, "row")
                message = f"{table}: {found} in the files, its metadata says {expected:,}"
                yield error(Level.L2, "missing_rows", message, again(TOOL))
            elif table == self.wanted.tables[0] and self.wanted.count_until is not None:
                yield from self._compare_choice(table, rows, self.wanted.count_until)
        elif self.wanted.count_until is None:
            message = f"{table}: {numbered(rows, 'row')}; whether those are all was not compared"
            hint = "check where the database can be asked, or dump with mydumper 0.12 or later"
            yield unknown(Level.L2, "rows_unknown", message, hint)
        else:
            yield from self._compare_with_live(table, rows, self.wanted.count_until)

    def _compare_choice(
        self, table: str, rows: int, count_until: Callable[[datetime], int]
    ) -> Iterator[Finding]:
        """The metadata counts what was written: with --where or --no-data that is not the table."""
        least = count_until(self.backup.started_at - TIME_TOLERANCE)
        if rows < least:
            message = (
                f"{table}: {numbered(rows, 'row')}, as its metadata says, but {least:,} in the "
                "database of the time before it: a part of the table, unless they came late"
            )
            hint = "dump without --where and --no-data; or: des-admin backup create"
            yield unknown(Level.L2, "rows_unknown", message, hint)

    def _compare_with_live(
        self, table: str, rows: int, count_until: Callable[[datetime], int]
    ) -> Iterator[Finding]:
        """Rows come and go: equal proves it, fewer than there were before the start is a loss."""
        start = self.backup.started_at
        least = count_until(start - TIME_TOLERANCE)
        most = count_until((self.backup.finished_at or start) + TIME_TOLERANCE)
        if rows < least:
            found = numbered(rows, "row")
            message = f"{table}: {found} in the files, {least:,} in the database before it"
            yield error(Level.L2, "missing_rows", message, again(TOOL))
        elif not least == most == rows:
            message = (
                f"{table}: {numbered(rows, 'row')} in the files, {least:,} to {most:,} in the "
                "database at the time: so many could be missing"
            )
            hint = "mydumper 0.12 or later counts what it writes; or: des-admin backup create"
            yield unknown(Level.L2, "rows_unknown", message, hint)


def _quoted(table: str) -> bytes:
    return quote(table, Dialect.MYSQL).encode()


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


def _counted(text: str, database: str) -> dict[str, int]:
    """Rows by table, where the metadata counts them."""
    found: dict[str, int] = {}
    sections = list(_SECTION.finditer(text))
    for number, section in enumerate(sections):
        end = sections[number + 1].start() if number + 1 < len(sections) else len(text)
        rows = _ROWS.search(text, section.end(), end)
        if rows is not None and section["database"] == database:
            found[section["table"]] = int(rows["rows"])
    return found


def _time(text: str) -> datetime:
    """mydumper writes the local time of its machine, without a zone."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _read_all(files: list[Path]) -> tuple[dict[Path, FileContent], list[Finding]]:
    """What is in every file, decompressed, and the files that cannot be read."""
    contents: dict[Path, FileContent] = {}
    findings = []
    for path in files:
        try:
            contents[path] = _read(path)
        except (DamagedData, OSError) as exc:
            findings.append(error(Level.L1, "changed", f"{path.name}: {exc}", again(TOOL)))
            contents[path] = FileContent(b"", 0, frozenset(), frozenset(), "")
    return contents, findings


def _read(path: Path) -> FileContent:
    tail, line, rows = b"", b"", 0
    statements: set[tuple[bytes, bytes]] = set()
    definitions: set[tuple[bytes, bytes]] = set()
    digest = hashlib.sha256()

    def take(text: bytes) -> int:
        statements.update((m["verb"], m["name"]) for m in _STATEMENT.finditer(text))
        if "-schema" in path.name:
            definitions.update((m["kind"], m["name"]) for m in _DEFINITION.finditer(text))
        return len(_ROW.findall(text))

    for chunk in read_decompressed(path, compression_of(path.name)):
        digest.update(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]
        whole, _, line = (line + chunk).rpartition(b"\n")
        rows += take(whole)
    rows += take(line)
    return FileContent(
        tail, rows, frozenset(statements), frozenset(definitions), digest.hexdigest()
    )


def _no_checksums() -> Finding:
    return Finding(
        Level.L1,
        Severity.WARNING,
        "no_checksums",
        "files that are not compressed have no checksum: a changed byte would not be seen",
        "use mydumper --compress",
    )
