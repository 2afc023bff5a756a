"""Statements that only backups need: names of tables and scratch databases filled in, quoted.

They lie in `sql/<dialect>/backup/`, because no two dialects need the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from des_core.backup.manifest import DatabaseLocale
from des_core.basics.errors import DamagedData
from des_core.basics.identifiers import Dialect, TableName, quote
from des_core.database.catalog import Catalog, Statement
from des_core.settings.config import DatabaseSettings

_WORD = re.compile(r"[A-Za-z0-9_]+")


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
        account: str = "",
        account_kind: str = "",
        locale: DatabaseLocale | None = None,
    ) -> None:
        super().__init__(dialect, settings)
        self._more = {
            "table": (table or TableName("files")).quoted(dialect),
            "locked_tables": ", ".join(f"{name.quoted(dialect)} READ" for name in locked),
            "scratch": quote(scratch, dialect),
            "schema": quote(schema, dialect),
            "encoding": quote(encoding, dialect),
            "account": account,
            "account_kind": account_kind,
            "defaults": _defaults(locale),
        }

    @cached_property
    def names(self) -> Mapping[str, str]:
        return {**super().names, **self._more}

    def backup(self, name: str) -> Statement:
        """The statement `sql/<dialect>/backup/NAME.sql`."""
        return self.load("backup", f"{name}.sql")


def _defaults(locale: DatabaseLocale | None) -> str:
    """Character set and collation of a database of MySQL or MariaDB; a manifest may name them."""
    names = ("utf8mb4",) if locale is None else (locale.encoding, locale.collate)
    kinds = ("CHARACTER SET", "COLLATE")
    words = (f"{kind} {name}" for kind, name in zip(kinds, names, strict=False) if name)
    if not all(name is None or _WORD.fullmatch(name) for name in names):
        raise DamagedData("the manifest names a character set that is none", names=names)
    return " ".join(words)
