"""What a user of MySQL or MariaDB may do, by what `SHOW GRANTS` answers.

The views of information_schema leave out what a role brings; this answer holds the grants of the
user and of the roles that are active in the session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from des_core.database.catalog import Statement
from des_core.database.connections import Database

_NAME = r"(?:`(?:[^`]|``)+`|\*)"
_GRANT = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<held>.+?) ON (?P<schema>{_NAME})\.(?P<table>{_NAME}) (?:TO|FROM) "
)
_COLUMNS = re.compile(r"\([^()]*\)")  # `SELECT (a, b)`: for some columns only
_EVERYTHING = "ALL PRIVILEGES"
EVERY_TABLE = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """Privileges on a table, or with `*` on all of a schema or of the server.

    `is_revoked`: out of those on the server, not in this schema (partial_revokes of MySQL).
    """

    privileges: frozenset[str]
    schema: str
    table: str
    is_revoked: bool = False

    def covers(self, privilege: str, schema: str, table: str) -> bool:
        """Whether this lets a user do it there; `table` may be EVERY_TABLE: all of the schema."""
        if not {privilege, _EVERYTHING} & self.privileges:
            return False
        if self.table not in (EVERY_TABLE, table):
            return False
        # Only a grant on a whole schema may name it by a pattern.
        is_schema_wide = self.table == EVERY_TABLE
        return self.schema in ("*", schema) or (is_schema_wide and _like(self.schema, schema))


def read_grants(database: Database, statement: Statement) -> list[Grant]:
    """What this user may do, as `statement`, a SHOW GRANTS, answers."""
    with database.read() as tx:
        return parse_grants(tx.run(statement).scalars())


def parse_grants(lines: Iterable[str]) -> list[Grant]:
    """The grants on tables; those of roles, routines and proxies are passed over."""
    return [
        Grant(
            _privileges(found["held"]),
            _plain(found["schema"]),
            _plain(found["table"]),
            is_revoked=found["verb"] == "REVOKE",
        )
        for line in lines
        if (found := _GRANT.match(line)) is not None
    ]


def is_granted(grants: Iterable[Grant], privilege: str, schema: str, table: str) -> bool:
    """Whether one of the grants is enough."""
    found = [grant for grant in grants if grant.covers(privilege, schema, table)]
    is_restricted = any(grant.is_revoked for grant in found)
    if is_restricted:
        found = [grant for grant in found if not grant.is_revoked and grant.schema != "*"]
    return bool(found)


def find_missing(
    grants: list[Grant], needs: Mapping[str, str], schema: str, table: str
) -> list[str]:
    """Of `needs`, what for to privilege, those that no grant covers there."""
    return [
        name
        for name, privilege in needs.items()
        if not is_granted(grants, privilege, schema, table)
    ]


def default_schema(database: Database) -> str:
    """Where unqualified names are: on MySQL a schema is a database."""
    return database.engine.url.database or ""


def _privileges(held: str) -> frozenset[str]:
    whole = (word.strip() for word in _COLUMNS.sub("()", held).split(","))
    return frozenset(word for word in whole if not word.endswith("()"))


def _plain(quoted: str) -> str:
    return quoted if quoted == "*" else quoted[1:-1].replace("``", "`")


def _like(pattern: str, name: str) -> bool:
    """SQL's LIKE, with `\\` before what stands for itself."""
    signs = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(sign) or re.escape(sign[-1]) for sign in signs)
    return re.fullmatch(text, name, re.DOTALL) is not None
