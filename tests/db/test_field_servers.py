"""Servers as the field has them: a whole life works on them, or is refused before it begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.test_field_tables import refused
from db.test_server_settings import (
    POSTGRES,
    live_there_and_back,
)
from des_core.basics.errors import Refused
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import MigrationOptions
from support.program.archive import make_settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.limited_user import limited_user
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

ODD_UIDS = ["żółw.pdf", "日本", "quote'\"`"]
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")


@pytest.mark.postgres
def test_a_database_that_knows_no_encoding(
    postgres_server, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """SQL_ASCII: the server gives back the bytes that it got, whatever they are."""
    database = database_on(postgres_server)
    name = f"{database.name}_ascii"
    with postgres_server.connect() as session:
        session.autocommit = True
        session.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    url = postgres_server.url(name)

    def connect() -> Any:
        connection = postgres_server.connect(name)
        connection.execute("SET client_encoding TO 'UTF8'")
        connection.commit()
        return connection

    ascii = replace(database, name=name, url=f"{url}?client_encoding=utf8", connector=connect)
    table = files_table(ascii, 120, days=10, archived_days=4)
    settings = make_settings(replace(ascii, url=url), tmp_path / "out")
    for number, uid in enumerate(ODD_UIDS):
        ascii.execute(
            "UPDATE files SET uid = :new WHERE uid = :old",
            {"new": uid, "old": f"doc-{number:07}.jpg"},
        )
    live_there_and_back(table, ascii, settings)
    broken = "convert_from('\\xff'::bytea, 'SQL_ASCII')"
    ascii.execute(f"UPDATE files SET archived = FALSE, file_location = {broken}")
    upgrade(settings)
    with open_archive(settings) as archive, pytest.raises(Refused, match="not UTF-8"):
        run_cycle(archive)
    postgres_server.drop_database(name)
    postgres_server.drop_database(database.name)


@POSTGRES
def test_a_role_that_may_make_nothing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """As any role on PostgreSQL 15 that owns neither the database nor its schema."""
    files_table(database, 40, days=4, archived_days=2, files=False)
    with limited_user(
        database, ["GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES, TRIGGER ON files"]
    ) as lowly:
        refused(make_settings(lowly, tmp_path / "out"), database, "permission|may not")
