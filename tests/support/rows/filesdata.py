"""A made-up `files` table with real files: the same seed makes the same rows and bytes."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Self
from uuid import UUID

from support.rows.bulk import create_files_table, insert_rows
from support.rows.shape import TableShape
from support.servers.database import Row, TestDatabase, to_microseconds

DEFECTS = (
    "missing",
    "directory",
    "fifo",
    "socket",
    "wrong_size",
    "empty_location",
    "dangling_link",
    "relative",
)
"""Kinds of bad files. `unreadable` exists too, but root reads such files all the same."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of `files`, with what is wrong with its file, if anything."""

    uid: str
    created_at: datetime
    location: str
    size_bytes: int
    archived: bool = False
    defect: str | None = None


@dataclass(frozen=True, slots=True)
class FilesSpec:
    """How the rows spread: `rows` evenly over `days`, the first of each day at midnight exactly.

    Rows up to and including `archived_until` are archived, except `holes` of them. `bad` maps a
    defect to how many of the rows above get it. `ties` rows share each created_at. About a third
    of the uids are decimal numbers, the rest are names, as far as the table's `shape` lets them be.
    Sizes in bytes.
    """

    rows: int = 200
    days: int = 10
    first_day: date = date(2024, 1, 1)
    seed: int = 1
    archived_until: datetime | None = None
    holes: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)
    ties: int = 1
    min_size: int = 0
    max_size: int = 2048
    files: bool = True
    shape: TableShape = field(default_factory=TableShape)

    def with_archived_days(self, days: int) -> Self:
        """The same, with everything of the first `days` days archived."""
        end = datetime.combine(self.first_day, time.min, UTC) + timedelta(days=days)
        return replace(self, archived_until=end - timedelta(microseconds=1))


def content_of(uid: str, size_bytes: int, seed: int = 1) -> bytes:
    """The bytes of a file: about half of the uids have content that compresses well."""
    key = f"{seed}/{uid}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(key).digest()
    if digest[0] & 1:
        return hashlib.shake_256(key).digest(size_bytes)
    block = b"content of %s\n" % digest[:4].hex().encode()
    return (block * (size_bytes // len(block) + 1))[:size_bytes]


@dataclass(slots=True)
class FilesTable:
    """The table, the directory of its files, and what a test may expect of them."""

    database: TestDatabase
    root: Path
    spec: FilesSpec
    rows: dict[str, FileRow] = field(default_factory=dict)
    _contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def bad(self) -> dict[str, str]:
        """uid → defect of the rows whose files are bad."""
        return {uid: row.defect for uid, row in self.rows.items() if row.defect}

    @property
    def holes(self) -> set[str]:
        """uids at or below `archived_until` that are not archived."""
        until = self.spec.archived_until
        if until is None:
            return set()
        return {u for u, row in self.rows.items() if row.created_at <= until and not row.archived}

    @property
    def archived(self) -> set[str]:
        """uids whose `archived` was TRUE when the row was made."""
        return {uid for uid, row in self.rows.items() if row.archived}

    def expected_content(self, uid: str) -> bytes:
        """What the file of a row holds, or held before it was damaged."""
        if uid in self._contents:
            return self._contents[uid]
        return content_of(uid, _true_size(self.rows[uid]), self.spec.seed)

    def expect(self, uid: str, content: bytes) -> None:
        """Say what the file of a row holds that somebody else wrote."""
        self._contents[uid] = content

    def add(
        self,
        uid: str,
        created_at: datetime,
        content: bytes = b"late\n",
        *,
        archived: bool = False,
        location: str | None = None,
    ) -> FileRow:
        """Insert one more row, as a live writer does, and write its file.

        With `location` given, no file is written: any text may stand there.
        """
        if location is None:
            path = self.root / "added" / hashlib.sha256(uid.encode()).hexdigest()[:24]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            location = str(path)
        row = FileRow(uid, created_at, location, len(content), archived)
        insert_rows(self.database, [row], self.spec.shape)
        self.rows[uid] = row
        self._contents[uid] = content
        return row


FilesTableFactory = Callable[..., FilesTable]


def make_files_table(
    database: TestDatabase, root: Path, spec: FilesSpec, extra: Sequence[FileRow] = ()
) -> FilesTable:
    """Create `files` and its index, insert the rows of `spec` and `extra`, write the files.

    Rows of `extra` go in as they are; no file is written for them.
    """
    root.mkdir(parents=True, exist_ok=True)
    table = FilesTable(database, root, spec)
    rows = [*plan_rows(spec, root), *extra]
    create_files_table(database, spec.shape)
    insert_rows(database, rows, spec.shape)
    table.rows.update({row.uid: row for row in rows})
    if spec.files:
        _write_files(rows[: spec.rows], spec)
    return table


def add_odd_row(
    database: TestDatabase,
    created_at: str,
    uid: str = "odd",
    location: str = "/nowhere",
    *,
    archived: bool = False,
) -> None:
    """A row as a program in another language or a lax mode may write it."""
    with database.session() as session:
        if database.kind == "mysql":
            session.exec_driver_sql("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
        session.exec_driver_sql(
            "INSERT INTO files (uid, created_at, file_location, archived)"
            f" VALUES ('{uid}', '{created_at}', '{location}', {archived})"
        )


def canonical_rows(database: TestDatabase, shape: TableShape | None = None) -> list[Row]:
    """All rows of `files` in one form for every dialect, sorted by uid.

    Each is (uid text, created_at in microseconds since the epoch, location, size, archived);
    size or archived is None where the column is missing.
    """
    shape = shape or TableShape()
    with database.session() as session:
        result = session.exec_driver_sql(
            f"SELECT * FROM {shape.qualified(database)}",
            execution_options={"no_parameters": True},
        )
        place = {name: position for position, name in enumerate(result.keys())}
        size, archived = place.get(shape.size_bytes or ""), place.get(shape.archived or "")
        rows = [
            (
                str(row[place[shape.uid]]),
                to_microseconds(row[place[shape.created_at]], shape.zone or UTC),
                row[place[shape.location]],
                None if size is None else row[size],
                None if archived is None else bool(row[archived]),
            )
            for row in result
        ]
    return sorted(rows)


def plan_rows(spec: FilesSpec, root: Path) -> list[FileRow]:
    """The rows that `spec` describes, in the order of created_at and then of their making."""
    if spec.rows < 1:
        return []
    rows = [_plan_row(spec, root, number) for number in range(spec.rows)]
    rows = _with_holes(rows, spec)
    return _with_defects(rows, spec)


def _plan_row(spec: FilesSpec, root: Path, number: int) -> FileRow:
    uid = _make_uid(number, spec)
    per_day = -(-spec.rows // spec.days)
    day, place = divmod(number, per_day)
    place -= place % spec.ties
    step_us = 86_400_000_000 // per_day
    created_at = datetime.combine(spec.first_day, time.min, UTC) + timedelta(
        days=day, microseconds=place * step_us + (place * 7_919 % step_us if place else 0)
    )
    spread = spec.max_size - spec.min_size + 1
    digest = hashlib.sha256(f"size/{spec.seed}/{number}".encode()).digest()
    size = spec.min_size + int.from_bytes(digest[:6]) % spread
    path = root / f"{created_at:%Y-%m-%d}" / f"{number % 64:02d}" / uid
    archived = spec.archived_until is not None and created_at <= spec.archived_until
    return FileRow(uid, created_at, str(path), size, archived)


def _make_uid(number: int, spec: FilesSpec) -> str:
    if spec.shape.uid_type == "uuid":
        digest = hashlib.sha256(f"uuid/{spec.seed}/{number}".encode()).digest()
        return str(UUID(bytes=digest[:16], version=4))
    if spec.shape.uid_type == "integer" or number % 3 == 0:
        return str(4_000_000_000 + number)
    suffix = ("txt", "json", "jpg", "bin")[number % 4]
    return f"doc-{number:07d}.{suffix}"


def _with_holes(rows: list[FileRow], spec: FilesSpec) -> list[FileRow]:
    archived = [number for number, row in enumerate(rows) if row.archived]
    for number in _spread(archived, spec.holes, "holes"):
        rows[number] = replace(rows[number], archived=False)
    return rows


def _with_defects(rows: list[FileRow], spec: FilesSpec) -> list[FileRow]:
    until = spec.archived_until
    pending = [n for n, row in enumerate(rows) if until is None or row.created_at > until]
    wanted = [defect for defect, count in spec.bad.items() for _ in range(count)]
    for number, defect in zip(_spread(pending, len(wanted), "bad"), wanted, strict=True):
        rows[number] = _damage(rows[number], defect)
    return rows


def _spread(numbers: list[int], count: int, what: str) -> list[int]:
    """`count` of the numbers, evenly spread."""
    if count > len(numbers):
        raise ValueError(f"{count} {what} do not fit into {len(numbers)} rows")
    return [numbers[place * len(numbers) // count] for place in range(count)]


def _damage(row: FileRow, defect: str) -> FileRow:
    if defect not in (*DEFECTS, "unreadable"):
        raise ValueError(f"unknown defect {defect!r}")
    if defect == "empty_location":
        return replace(row, defect=defect, location="")
    if defect == "relative":
        return replace(row, defect=defect, location=f"relative/{row.uid}")
    if defect == "wrong_size":
        return replace(row, defect=defect, size_bytes=row.size_bytes + 1)
    return replace(row, defect=defect)


def _true_size(row: FileRow) -> int:
    return row.size_bytes - 1 if row.defect == "wrong_size" else row.size_bytes


def _write_files(rows: Iterable[FileRow], spec: FilesSpec) -> None:
    made: set[str] = set()
    for row in rows:
        if row.defect in ("empty_location", "relative"):
            continue
        directory = os.path.dirname(row.location)  # noqa: PTH120 - 100,000 Path objects are slow
        if directory not in made:
            Path(directory).mkdir(parents=True, exist_ok=True)
            made.add(directory)
        _write_file(row, spec.seed)


def _write_file(row: FileRow, seed: int) -> None:
    path = row.location
    if row.defect == "missing":
        return
    if row.defect == "directory":
        Path(path).mkdir()
    elif row.defect == "fifo":
        os.mkfifo(path)
    elif row.defect == "socket":
        _make_socket(Path(path))
    elif row.defect == "dangling_link":
        Path(path).symlink_to("nowhere")
    else:
        with open(path, "wb") as file:  # noqa: PTH123 - see _write_files
            file.write(content_of(row.uid, _true_size(row), seed))
        if row.defect == "unreadable":
            Path(path).chmod(0)


def _make_socket(path: Path) -> None:
    """Bind inside the directory: an absolute path may be longer than a socket's may be."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
