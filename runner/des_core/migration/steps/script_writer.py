"""Steps and statements as text for psql, mariadb or sqlite3, for one database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog, Statement
from des_core.database.manners import MYSQL_MODE
from des_core.database.script import script_for_client
from des_core.migration.steps.patience import INDEX_LOCK_TIMEOUT_S
from des_core.migration.steps.sql_file import Step

_BEGIN = {
    Dialect.POSTGRES: "BEGIN;",
    Dialect.MYSQL: "START TRANSACTION;",
    Dialect.SQLITE: "BEGIN IMMEDIATE;",
}


@dataclass(frozen=True, slots=True)
class ScriptWriter:
    """Renders for one database. `apart`: the watermark lives in another one than `files`."""

    catalog: Catalog
    values: Mapping[str, object]
    apart: bool
    lock_timeout_s: float
    timezone: str

    @property
    def dialect(self) -> Dialect:
        return self.catalog.dialect

    def steps(self, steps: Iterable[Step]) -> Iterator[str]:
        """Those that a script needs. On PostgreSQL a concurrent build waits for old snapshots."""
        for step in steps:
            if step.is_for_script(apart=self.apart):
                yield self._patient(step)

    def plain(self, steps: Iterable[Step]) -> Iterator[str]:
        """Each of them, whatever else a script would do instead."""
        return map(self._patient, steps)

    def transaction(self, texts: Iterable[str]) -> Iterator[str]:
        """These in one transaction; nothing where there are none."""
        listed = list(texts)
        if listed:
            yield from (_BEGIN[self.dialect], *listed, "COMMIT;")

    def bound(self, statement: Statement, values: Mapping[str, object], note: str = "") -> str:
        """The statement with literals for its parameters."""
        known = {name: _literal(value) for name, value in {**self.values, **values}.items()}
        used = {name: known[name] for name in statement.parameters if name in known}
        script = script_for_client(statement, self.dialect, used)
        return script.text + (f"\n{note}" if note else "")

    def preamble(self) -> list[str]:
        """What the program sets on its own connections."""
        if self.dialect is Dialect.POSTGRES:
            zone = self.timezone.replace("'", "''")
            return [
                "\\set ON_ERROR_STOP on",
                "SET client_encoding = 'UTF8';",
                f"SET TIME ZONE '{zone}';",
                _lock_timeout(self.lock_timeout_s),
            ]
        if self.dialect is Dialect.MYSQL:
            return [
                "SET NAMES utf8mb4;",
                f"SET SESSION time_zone = '+00:00', sql_mode = {MYSQL_MODE};",
                f"SET SESSION lock_wait_timeout = {max(1, round(self.lock_timeout_s))};",
            ]
        return [".bail on", ".timeout 30000", "PRAGMA foreign_keys = ON;"]

    def require_clock(self) -> None:
        """Refused where a client cannot turn the table's times into UTC."""
        if self.timezone.upper() != "UTC" and self.dialect is not Dialect.POSTGRES:
            raise Refused(
                "a script for this database cannot turn local times into UTC",
                hint="run it instead: des-admin migrate up",
                timezone=self.timezone,
            )

    def _patient(self, step: Step) -> str:
        note = f"-- locks: {step.lock}; costs: {step.cost}" if step.lock else ""
        text = self.bound(step.statement, {}, note)
        if step.in_transaction or self.dialect is not Dialect.POSTGRES:
            return text
        long, short = _lock_timeout(INDEX_LOCK_TIMEOUT_S), _lock_timeout(self.lock_timeout_s)
        return f"{long}\n{text}\n{short}"


def _lock_timeout(seconds: float) -> str:
    return f"SET lock_timeout = '{round(seconds * 1000)}ms';"


def _literal(value: object) -> str:
    """For `script_for_client`: text in quotes, so that digits stay text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'"
    text: Any = str(value)
    return f"'{text}'"
