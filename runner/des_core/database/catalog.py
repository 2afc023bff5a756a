"""The only loader of SQL. A statement is a file; names are filled in quoted, values are bound.

`sql/common/queries/NAME.sql` is read in every dialect, unless `sql/<dialect>/queries/NAME.sql`
overrides it. A file begins with comment lines `-- purpose:`, `-- index:` (the index that carries
it, or why none is needed) and `-- touches:`. `{files}`, `{uid}` … are filled in; `:name` is bound.

A line `-- text: step STEP of FILE` stands for the text of that step of a migration, so that what
a migration does and the program does too is said once, by the migration.

Lines that end in `-- first page` or `-- next page` are left out of the other page: the file then
holds two statements, NAME_first and NAME_next, and what both say stands in it once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect, TableName, quote
from des_core.basics.resources import resource_dir
from des_core.database.routing_sql import routing_expression
from des_core.database.value_sql import (
    UID_IS,
    is_time,
    size_value,
    us_expression,
    utc_expression,
)

if TYPE_CHECKING:
    from sqlalchemy import TextClause

    from des_core.settings.config import DatabaseSettings

_HOLE = re.compile(r"\{([a-z_]+)\}")
# The same rule by which SQLAlchemy finds `:name` in a text clause.
PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_ONE_PAGE = re.compile(r"(?<! ) *-- (first|next) page$")
_TEXT_OF_STEP = re.compile(r"^-- text: step (\w+) of (\S+)$", re.MULTILINE)
_HEADER = re.compile(r"--\s*(purpose|index|touches):\s*(.*)")
_ADDS_ROWS = re.compile(r"\s*INSERT INTO [^;]*\bVALUES\b")
# What dialects say in other words within texts that are otherwise equal. SQLite compares times as
# text: days around the window first, by the index, then the canonical form (docs/adr/0003), which
# is long to make: BETWEEN makes it once. It has one length, so it is above the start and not equal
# to it if it is at or above the start with a character more.
_PIECES = {
    "in_window": {
        Dialect.SQLITE: "{created_at} >= :net_start AND {created_at} < :net_end\n"
        "  AND {created_at_utc} BETWEEN :start_at || '0' AND :end_at",
        None: "{created_at} > :start_at AND {created_at} <= :end_at",
    },
    "uid_text": {Dialect.POSTGRES: "CAST({uid} AS text)", None: "{uid}"},
    "size_number": {Dialect.POSTGRES: "CAST({size_value} AS bigint)", None: "{size_value}"},
    "uid_is": UID_IS,
}
# How the column archived is made where nothing is known of an earlier one.
_NEW_COLUMN = {
    "archived_type": "boolean NOT NULL",
    "archived_rest": "",
    "archived_default": "SET DEFAULT FALSE",
    "archived_comment": "NULL",
    "archived_statistics": "-1",
    "archived_options": "",
    "archived_privilege": "SELECT",
    "archived_grantee": "PUBLIC",
    "archived_grant_option": "",
}
CREATED_AT_INDEX = "idx_files_created_at"
CREATED_ARCHIVED_INDEX = "idx_files_created_archived"


@dataclass(frozen=True)
class Statement:
    """One named statement, ready to bind. `sql` has quoted names and `:name` parameters."""

    name: str
    sql: str
    purpose: str
    index: str
    touches: str
    escaped: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the bound parameters, in order of appearance."""
        return tuple(dict.fromkeys(PARAMETER.findall(self.escaped)))

    @cached_property
    def adds_rows(self) -> bool:
        """Whether it writes one row each time, and none only if something keeps it from that."""
        return _ADDS_ROWS.match(self.sql) is not None

    @cached_property
    def clause(self) -> TextClause:
        """For SQLAlchemy, which would read a colon inside a quoted name as a parameter.

        A time or a day is bound as our own tables hold it; all else goes through as it is.
        """
        from sqlalchemy import bindparam, text

        from des_core.database.stored_time import Stored

        typed = [bindparam(name, type_=Stored()) for name in self.parameters]
        return text(self.escaped).bindparams(*typed)


class Catalog:
    """The statements of one dialect; those on `files` need the settings that name its columns.

    `row_key` is what makes a row of `files` unique in SQLite's own order: its rowid, or, in a
    table without one, the uid column. `uid_kind`, `has_crc32` and `clocks` are the source schema's.
    """

    def __init__(
        self,
        dialect: Dialect,
        settings: DatabaseSettings | None = None,
        *,
        row_key: str = "rowid",
        uid_kind: str = "text",
        has_crc32: bool = False,
        clocks: Sequence[str] = (),
        size_is_whole: bool = True,
    ) -> None:
        self.dialect = dialect
        self._settings = settings
        self._row_key = row_key
        self._uid_kind = uid_kind
        self._has_crc32 = has_crc32
        self._clocks = tuple(clocks)
        self._size_is_whole = size_is_whole
        self._loaded: dict[tuple[str, str], Statement] = {}

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What the holes are filled with: quoted names, and expressions made of them."""
        return {} if self._settings is None else self._filled(self._settings)

    def _filled(self, settings: DatabaseSettings) -> dict[str, str]:
        columns = self._columns(settings)
        quoted = {key: quote(value, self.dialect) for key, value in columns.items()}
        size = settings.size_column
        created_at = quoted["created_at"]
        return {
            **quoted,
            **_NEW_COLUMN,
            "archived_definition": f"{quoted['archived']} BOOLEAN NOT NULL DEFAULT FALSE",
            "files": settings.table.quoted(self.dialect),
            "created_at_index_path": self._beside_files(CREATED_AT_INDEX),
            "created_archived_index_path": self._beside_files(CREATED_ARCHIVED_INDEX),
            "size_bytes": "NULL" if size is None else quote(size, self.dialect),
            "size_value": size_value(
                self.dialect,
                None if size is None else quote(size, self.dialect),
                is_whole=self._size_is_whole,
            ),
            "row_key": quote(self._row_key, self.dialect),
            "uid_bytes": _uid_bytes(self.dialect, quoted["uid"], self._uid_kind),
            "kept_clocks": _kept(self._clocks, settings.table, self.dialect),
            "created_at_utc": utc_expression(self.dialect, created_at),
            "created_us": us_expression(self.dialect, created_at),
            "is_time": is_time(self.dialect, created_at),
            "routing_number": routing_expression(
                self.dialect, quoted["uid"], self._uid_kind, has_crc32=self._has_crc32
            ),
        }

    def get(self, name: str) -> Statement:
        """The statement `NAME` of the queries: a file, or one page of it."""
        return self.load("queries", f"{name}.sql")

    def load(self, folder: str, file_name: str) -> Statement:
        """A statement of `sql/*/<folder>/`; WrongSchema where the dialect has none."""
        if (known := self._loaded.get((folder, file_name))) is not None:
            return known
        name = file_name.removesuffix(".sql")
        text = _statement_text(self.dialect, folder, name)
        if text is None:
            raise WrongSchema(
                f"there is no statement {file_name} for {self.dialect}",
                hint="list them: des-admin sql list",
            )
        statement = self._loaded[folder, file_name] = self.parse(name, text)
        return statement

    def parse(self, name: str, raw: str) -> Statement:
        """A statement of its text: header comments, then one statement with holes."""
        header = {
            match[1]: match[2].strip() for match in map(_HEADER.match, raw.splitlines()) if match
        }
        body = "\n".join(line for line in raw.splitlines() if not _HEADER.match(line)).strip()
        body = _HOLE.sub(self._piece, body.removesuffix(";"))
        return Statement(
            name=name,
            sql=self._fill(body, escape=False),
            escaped=self._fill(body, escape=True),
            purpose=self._fill(header.get("purpose", ""), escape=False),
            index=self._fill(header.get("index", ""), escape=False),
            touches=header.get("touches", ""),
        )

    def list(self) -> Iterator[Statement]:
        """All queries of the dialect, by name."""
        texts: dict[str, str] = {}
        for stem, path in sql_files(self.dialect, "queries").items():
            texts |= _pages(stem, _read(path, self.dialect))
        for name in sorted(texts):
            yield self.parse(name, texts[name])

    def _beside_files(self, name: str) -> str:
        """`name` in the schema of the table, as DROP INDEX wants it."""
        schema = None if self._settings is None else self._settings.table.schema
        return TableName(name, schema).quoted(self.dialect)

    @staticmethod
    def _columns(settings: DatabaseSettings) -> dict[str, str]:
        return {
            "uid": settings.uid_column,
            "created_at": settings.created_at_column,
            "location": settings.location_column,
            "archived": settings.archived_column or "archived",
            "files_table": settings.table.name,
            "created_at_index": CREATED_AT_INDEX,
            "created_archived_index": CREATED_ARCHIVED_INDEX,
        }

    def _piece(self, hole: re.Match[str]) -> str:
        """The words of the dialect, as far in as the line that they stand in."""
        words = _PIECES.get(hole[1])
        if words is None:
            return hole[0]
        line = hole.string[hole.string.rfind("\n", 0, hole.start()) + 1 :]
        margin = " " * (len(line) - len(line.lstrip(" ")))
        return (words.get(self.dialect) or words[None]).replace("\n", f"\n{margin}")

    def _fill(self, body: str, *, escape: bool) -> str:
        def value(match: re.Match[str]) -> str:
            text = self.names.get(match[1])
            if text is None:
                raise WrongSchema(f"a statement has an unknown hole: {match[0]}")
            return text.replace(":", r"\:") if escape else text

        return _HOLE.sub(value, body)


@cache
def sql_files(dialect: Dialect, folder: str) -> Mapping[str, Path]:
    """The files of `sql/*/<folder>/` that are read in `dialect`, by their stems."""
    return {
        path.stem: path
        for home in ("common", dialect)
        for path in (resource_dir("sql") / home / folder).glob("*.sql")
    }


def _statement_text(dialect: Dialect, folder: str, name: str) -> str | None:
    """The text of a statement: that of a file, or of one page of it."""
    files = sql_files(dialect, folder)
    for stem in (name, name.rpartition("_")[0]):
        if stem in files and name in (pages := _pages(stem, _read(files[stem], dialect))):
            return pages[name]
    return None


@cache
def _read(path: Path, dialect: Dialect) -> str:
    text = path.read_text(encoding="utf-8")
    return _TEXT_OF_STEP.sub(lambda step: _step_text(dialect, step[2], step[1]), text)


def _step_text(dialect: Dialect, file_name: str, step: str) -> str:
    """The statement of one step, without its own comments."""
    path = sql_files(dialect, "migrations")[file_name]
    found = path.read_text(encoding="utf-8").partition(f"-- step: {step}\n")[2]
    lines = found.partition("-- step: ")[0].splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def _pages(stem: str, text: str) -> dict[str, str]:
    """The statements of one file, by their names: the whole, or its first and its next page."""
    lines = text.splitlines()
    marks = [_ONE_PAGE.search(line) for line in lines]
    if not any(marks):
        return {stem: text}
    return {
        f"{stem}_{page}": "\n".join(
            line if mark is None else line[: mark.start()]
            for line, mark in zip(lines, marks, strict=True)
            if mark is None or mark[1] == page
        )
        for page in ("first", "next")
    }


@cache
def config_statement(dialect: Dialect, name: str) -> Statement:
    """A statement on our own tables, which have fixed names."""
    return Catalog(dialect).get(name)


def _kept(clocks: Sequence[str], table: TableName, dialect: Dialect) -> str:
    """The rest of a SET that leaves these columns as they are: ON UPDATE would move them."""
    columns = [f"{table.quoted(dialect)}.{quote(name, dialect)}" for name in clocks]
    return "".join(f", {column} = {column}" for column in columns)


def _uid_bytes(dialect: Dialect, column: str, uid_kind: str) -> str:
    """`column` as what is compared byte by byte: its collation may take `a` and `A` for one.

    An index cannot carry it, so it stands beside the plain comparison.
    """
    if uid_kind != "text":
        return column
    if dialect is Dialect.POSTGRES:
        return f'CAST({column} AS text) COLLATE "C"'
    if dialect is Dialect.SQLITE:
        return f"{column} COLLATE BINARY"
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"
