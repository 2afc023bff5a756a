"""Statements that only backups need: names of tables and scratch databases filled in, quoted.

They lie in `sql/<dialect>/backup/`, because no two dialects need the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from des_core.basics.identifiers import Dialect, TableName, quote
from des_core.database.catalog import Catalog, Statement
from des_core.settings.config import DatabaseSettings


class BackupCatalog(Catalog):
    """A catalogue with more holes: `{table}`, `{locked_tables}`, `{scratch}` …."""

    def __init__(
        self,
        dialect: Dialect,
        settings: DatabaseSettings | None = None,
        *,
        table: TableName | None = None,
        locked: tuple[TableName, ...] = (),
        scratch: str = "des_scratch",
        schema: str = "public",
        encoding: str = "UTF8",
    ) -> None:
        super().__init__(dialect, settings)
        self._more = {
            "table": (table or TableName("files")).quoted(dialect),
            "locked_tables": ", ".join(f"{name.quoted(dialect)} READ" for name in locked),
            "scratch": quote(scratch, dialect),
            "schema": quote(schema, dialect),
            "encoding": quote(encoding, dialect),
        }

    @cached_property
    def names(self) -> Mapping[str, str]:
        return {**super().names, **self._more}

    def backup(self, name: str) -> Statement:
        """The statement `sql/<dialect>/backup/NAME.sql`."""
        return self.load("backup", f"{name}.sql")
