"""Names, types and clocks as applications have them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions
from support.program.migrating import rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.rows.shape import AWKWARD, TableShape
from support.servers.database import TestDatabase

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
INDEX = "idx_files_created_archived"
SHAPES = {
    "awkward": replace(AWKWARD, index=INDEX),
    "marks": TableShape(
        table="100% :files?",
        uid=":uid",
        created_at="%(created)s %s",
        location="a`b\"c'd",
        size_bytes="{size}",
        archived=":archived %s",
    ),
    "integer": TableShape(uid_type="integer"),
    "uuid": TableShape(uid_type="uuid"),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("options", [MigrationOptions(), DROP], ids=["kept", "dropped"])
def test_any_name_and_type(
    database: TestDatabase, files_table: FilesTableFactory, name: str, options: MigrationOptions
) -> None:
    shape = SHAPES[name]
    files_table(database, 60, days=5, archived_days=3, holes=4, ties=2, files=False, shape=shape)
    _round_trip(database, shape, options)


@pytest.mark.postgres
def test_a_schema_of_its_own(make_database: Any, files_table: FilesTableFactory) -> None:
    database = make_database("postgres")
    shape = TableShape(schema='Old "App"', table="Files")
    files_table(database, 60, days=5, archived_days=3, holes=4, files=False, shape=shape)
    _round_trip(database, shape, DROP)


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.mysql
@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_local_times(make_database: Any, files_table: FilesTableFactory, server: str) -> None:
    """Rows around the night in which the clocks of Warsaw went back, and back again in spring."""
    database = make_database(server)
    shape = TableShape(zone=ZoneInfo("Europe/Warsaw"))
    table = files_table(database, 0, shape=shape)
    night = datetime(2024, 10, 26, 22, tzinfo=UTC)
    for number in range(20):
        moment = night + timedelta(minutes=20 * number)
        if moment.astimezone(shape.zone).fold == 0:
            table.add(f"u{number:02d}", moment, archived=number < 8 and number != 3)
    _round_trip(database, shape, DROP)


def _round_trip(database: TestDatabase, shape: TableShape, options: MigrationOptions) -> None:
    settings = settings_for(database, **shape.settings())
    before = canonical_rows(database, shape)
    for _ in range(2):
        plan = make_plan(settings, direction=Direction.UP, options=options)
        upgrade(settings, options=options, plan=plan)
        if options.drop_archived:
            assert all(row[4] is None for row in canonical_rows(database, shape))
        assert rows_by_formula(database, database, shape) == before
        downgrade(settings)
        assert canonical_rows(database, shape) == before
