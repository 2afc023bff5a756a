"""The schema at head, as each server describes it, against a reviewed file."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from des_core.migration.apply import upgrade
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

GOLDEN = Path(__file__).parent / "golden"


def describe(session: sa.Connection, table: str) -> list[str]:
    """One table in words that do not depend on the server's version."""
    inspector = sa.inspect(session)
    lines = [f"table {table}"]
    for column in inspector.get_columns(table):
        null = "" if column["nullable"] else " NOT NULL"
        default = "" if column["default"] is None else f" DEFAULT {column['default']}"
        kind = column["type"].compile(dialect=session.dialect)
        lines.append(f"  {column['name']} {kind}{null}{default}")
    key = inspector.get_pk_constraint(table)["constrained_columns"]
    lines.append(f"  primary key ({', '.join(key)})")
    for index in sorted(inspector.get_indexes(table), key=lambda index: str(index["name"])):
        kind = "unique index" if index["unique"] else "index"
        where = index.get("dialect_options", {})
        partial = where.get("postgresql_where", where.get("sqlite_where"))
        condition = "" if partial is None else f" where {partial}"
        names = ", ".join(str(name) for name in index["column_names"])
        lines.append(f"  {kind} {index['name']} ({names}){condition}")
    for check in sorted(inspector.get_check_constraints(table), key=lambda c: str(c["name"])):
        lines.append(f"  check {check['name'] or '(unnamed)'}: {check['sqltext']}")
    for foreign in inspector.get_foreign_keys(table):
        place = f"{foreign['referred_table']} ({', '.join(foreign['referred_columns'])})"
        lines.append(f"  foreign key ({', '.join(foreign['constrained_columns'])}) -> {place}")
    return lines


def test_schema_at_head(
    database: TestDatabase,
    files_table: FilesTableFactory,
    golden: Callable[[Path, str], None],
) -> None:
    files_table(database, 5, days=1, files=False)
    upgrade(settings_for(database))
    with database.session() as session:
        tables = sorted(sa.inspect(session).get_table_names())
        lines = [line for table in tables for line in [*describe(session, table), ""]]
    golden(GOLDEN / f"schema_{database.server}.txt", "\n".join(lines))
