"""The steps that make the column archived again as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect, quote
from des_core.database.catalog import Catalog
from des_core.ledger.revisions import DROP_ARCHIVED
from des_core.migration.base.migration import Migration
from des_core.migration.state.column_definition import ColumnDefinition, Grant
from des_core.migration.steps.sql_file import Step, get_step, has_step

UP, DOWN = f"{DROP_ARCHIVED.name}.up", f"{DROP_ARCHIVED.name}.down"
# What is put into a statement as it is; all else is quoted.
MYSQL_TYPE = re.compile(r"(tiny|small|medium|big)?int(\(\d+\))?( unsigned)?( zerofill)?|bit\(1\)")
_PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"})
# What is set once the column is there, and whether it had that.
RESTORED: Mapping[str, Callable[[ColumnDefinition], object]] = {
    "restore_nullability": lambda was: was.is_nullable,
    "restore_default": lambda was: was.default != "FALSE",
    "restore_statistics": lambda was: was.statistics is not None,
    "restore_options": lambda was: was.options is not None,
    "restore_comment": lambda was: was.comment is not None,
    "restore_grants": lambda was: was.grants,
}


class ColumnCatalog(Catalog):
    """The statements that make the column again as it was."""

    def __init__(
        self,
        migration: Migration,
        was: ColumnDefinition | None,
        grant: Grant | None = None,
        fill: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(migration.source.dialect, migration.settings.database)
        self._was = was
        self._grant = grant
        self._fill_too = fill or {}

    @cached_property
    def names(self) -> Mapping[str, str]:
        was = {} if self._was is None else self._fragments(self._was)
        granted = {} if self._grant is None else self._granting(self._grant)
        return {**super().names, **was, **granted, **self._fill_too}

    def _fragments(self, was: ColumnDefinition) -> dict[str, str]:
        found = {"archived_default": self._default(was)}
        if self.dialect is Dialect.MYSQL and MYSQL_TYPE.fullmatch(was.type):
            null = "NULL" if was.is_nullable else "NOT NULL"
            found["archived_type"] = f"{was.type} {null}"
        if self.dialect is Dialect.MYSQL:
            found["archived_rest"] = "".join(self._rest(was))
        if was.definition is not None:
            found["archived_definition"] = was.definition
        if was.comment is not None:
            found["archived_comment"] = text_literal(was.comment, self.dialect)
        if was.statistics is not None:
            found["archived_statistics"] = str(int(was.statistics))
        if was.options is not None:
            found["archived_options"] = was.options
        return found

    def _default(self, was: ColumnDefinition) -> str:
        if was.default:
            return f"SET DEFAULT {was.default}"
        is_null = was.is_nullable and self.dialect is Dialect.MYSQL
        return "SET DEFAULT NULL" if is_null else "DROP DEFAULT"

    def _rest(self, was: ColumnDefinition) -> Iterator[str]:
        if was.is_invisible:
            yield " INVISIBLE"
        if was.comment is not None:
            yield f" COMMENT {text_literal(was.comment, self.dialect)}"
        if was.after is not None:
            yield f" AFTER {quote(was.after, self.dialect)}" if was.after else " FIRST"

    def _granting(self, grant: Grant) -> dict[str, str]:
        if grant.privilege not in _PRIVILEGES:
            raise WrongSchema(f"a column is granted with {grant.privilege!r}, which is not known")
        to = "PUBLIC" if grant.grantee is None else quote(grant.grantee, self.dialect)
        return {
            "archived_privilege": grant.privilege,
            "archived_grantee": to,
            "archived_grant_option": " WITH GRANT OPTION" if grant.is_grantable else "",
        }


def text_literal(text: str, dialect: Dialect) -> str:
    """`text` in quotes, whatever the session says of backslashes."""
    doubled = text.replace("'", "''")
    if dialect is Dialect.SQLITE or "\\" not in doubled:
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    return f"E'{escaped}'" if dialect is Dialect.POSTGRES else f"'{escaped}'"


def restoring_steps(
    migration: Migration,
    was: ColumnDefinition,
    names: Iterable[str] = RESTORED,
    fill: Mapping[str, str] | None = None,
) -> Iterator[Step]:
    """What makes these again, as far as the column had them; a step for each grant."""
    for name in names:
        if not RESTORED[name](was) or not has_step(migration.source_catalog, DOWN, name):
            continue
        for grant in was.grants if name == "restore_grants" else (None,):
            yield get_step(ColumnCatalog(migration, was, grant, fill), DOWN, name)
