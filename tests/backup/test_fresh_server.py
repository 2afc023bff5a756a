"""The drill on a new server: nothing but the backup and the runbook's words; all comes back.

Tables, rights, settings, the history of versioned tables; the application's user logs in and works.
"""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from backup.test_restore_drill import answer, restore
from des_core.migration.apply import upgrade
from support.pages.documents import Block, sit_down
from support.program.archive import make_settings
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.mysql import MySqlServer
from support.servers.postgres import PostgresServer
from support.servers.processes import make_server_dir
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

pytestmark = pytest.mark.slow
PASSWORD = "app's own $ecret"

POSTGRES = [
    "CREATE ROLE app_owner",
    f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}' IN ROLE app_owner",
    "CREATE ROLE reader",
    "ALTER ROLE app SET statement_timeout = '7min'",
    'CREATE SCHEMA "app s"',
    'CREATE TABLE "app s".notes (id serial PRIMARY KEY, word text)',
    "INSERT INTO \"app s\".notes (word) VALUES ('a'), ('b')",
    'ALTER SCHEMA "app s" OWNER TO app_owner',
    'ALTER TABLE "app s".notes OWNER TO app_owner',
    "ALTER TABLE files OWNER TO app_owner",
    "GRANT SELECT ON files TO reader",
    "CREATE TABLE far (id integer PRIMARY KEY) TABLESPACE apart",
    "INSERT INTO far VALUES (1), (2)",
    "GRANT UPDATE (size_bytes) ON files TO reader",
    "CREATE VIEW seen WITH (security_barrier) AS SELECT uid FROM files",
    "CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql SECURITY DEFINER AS"
    " 'SELECT 2 * $1'",
    "REVOKE EXECUTE ON FUNCTION twice(integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION twice(integer) TO app",
    "SELECT lo_from_bytea(0, 'large')",
    "COMMENT ON TABLE files IS 'one row per file'",
]
MYSQL = [
    f"CREATE USER app@'%' IDENTIFIED BY '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
    "CREATE ROLE readers",
    "GRANT readers TO app@'%'",
    "GRANT SELECT ON {db}.* TO readers",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO app@'%'",
    "CREATE TABLE notes (id integer AUTO_INCREMENT PRIMARY KEY, word text)",
    "INSERT INTO notes (word) VALUES ('a'), ('b')",
    "GRANT DELETE ON {db}.notes TO app@'%'",
    "CREATE FUNCTION twice(n integer) RETURNS integer DETERMINISTIC RETURN 2 * n",
    "CREATE TRIGGER noted BEFORE INSERT ON notes FOR EACH ROW SET NEW.word = UPPER(NEW.word)",
    "CREATE EVENT never ON SCHEDULE EVERY 1 YEAR DISABLE DO DELETE FROM notes",
    "CREATE DEFINER = app@'%' SQL SECURITY INVOKER VIEW seen_by_app AS SELECT uid FROM files",
]
MARIADB = [
    *MYSQL,
    "CREATE TABLE prices (id integer PRIMARY KEY, price integer) WITH SYSTEM VERSIONING",
    "INSERT INTO prices VALUES (1, 10)",
    "UPDATE prices SET price = 20",
    "UPDATE prices SET price = 30",
    "CREATE USER gone@'%'",
    "GRANT ALL ON {db}.* TO gone@'%'",
    "CREATE DEFINER = gone@'%' SQL SECURITY INVOKER VIEW seen AS SELECT uid FROM files",
    "DROP USER gone@'%'",
]
STATEMENTS = {"postgres": POSTGRES, "mariadb": MARIADB, "mysql": MYSQL, "sqlite": []}


def settle(database: TestDatabase) -> None:
    """What an application has beside its table: users, rights, settings, code."""
    for statement in STATEMENTS[database.server]:
        database.execute(statement.replace("{db}", database.quote(database.name)))
    if database.kind == "postgres":
        name = database.quote(database.name)
        database.execute(f"ALTER DATABASE {name} SET work_mem = '9MB'")
        database.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        database.execute(f"GRANT CONNECT ON DATABASE {name} TO app")


def everything(database: TestDatabase) -> dict[str, Any]:
    """A checksum of every table, and all that says who may do what."""
    if database.kind == "postgres":
        tables = database.rows(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type ="
            " 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        names = [f"{database.quote(schema)}.{database.quote(table)}" for schema, table in tables]
    elif database.kind == "mysql":
        tables = database.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        )
        names = [database.quote(str(table)) for (table,) in tables]
    else:
        names = sorted(database.quote(name) for name in database.table_names())
    found: dict[str, Any] = {name: checksum(database, name) for name in sorted(names)}
    for name, query in (RIGHTS.get(database.kind, {}) | RIGHTS.get(database.server, {})).items():
        found[name] = sorted(database.rows(query), key=repr)
    return found


RIGHTS = {
    # By kind, and what only one product has.
    "postgres": {
        "tables": "SELECT oid::regclass::text, relkind::text, relowner::regrole::text,"
        " relacl::text, reloptions::text FROM pg_class WHERE relnamespace::regnamespace::text"
        " IN ('public', '\"app s\"')",
        "columns": "SELECT attrelid::regclass::text, attname::text, attacl::text FROM pg_attribute"
        " WHERE attacl IS NOT NULL AND attrelid >= 16384",
        "functions": "SELECT oid::regprocedure::text, proowner::regrole::text, proacl::text,"
        " prosecdef FROM pg_proc WHERE oid >= 16384",
        "roles": "SELECT rolname::text, rolpassword, rolcanlogin, rolsuper FROM pg_authid"
        " WHERE rolname NOT LIKE 'pg\\_%' AND rolname <> 'des_test'",
        "members": "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members",
        "settings": "SELECT d.datname::text, setrole::regrole::text, setconfig::text FROM"
        " pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase",
        "database": "SELECT encoding, datcollate::text, datctype::text,"
        " ARRAY(SELECT unnest(datacl)::text ORDER BY 1) FROM pg_database"
        " WHERE datname = current_database()",
        "spaces": "SELECT tablespace FROM pg_tables WHERE tablename = 'far'",
        "large": "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata",
        "comments": "SELECT obj_description('files'::regclass)",
        "next": 'SELECT last_value, is_called FROM "app s".notes_id_seq',
    },
    "mysql": {
        "grants": "SELECT GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE FROM"
        " information_schema.SCHEMA_PRIVILEGES",
        "table grants": "SELECT GRANTEE, TABLE_NAME, PRIVILEGE_TYPE FROM"
        " information_schema.TABLE_PRIVILEGES",
        "users": "SELECT User, authentication_string FROM mysql.user WHERE User IN ('app',"
        " 'readers')",
        "code": "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = DATABASE()",
        "events": "SELECT EVENT_NAME, STATUS, DEFINER FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = DATABASE()",
        "triggers": "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS"
        " WHERE TRIGGER_SCHEMA = DATABASE()",
        "views": "SELECT TABLE_NAME, DEFINER, SECURITY_TYPE FROM information_schema.VIEWS"
        " WHERE TABLE_SCHEMA = DATABASE()",
        "database": "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM"
        " information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()",
    },
    "mariadb": {
        "roles": "SELECT User, Role FROM mysql.roles_mapping WHERE User <> 'root'",
        "history": "SELECT id, price, ROW_START, ROW_END FROM prices FOR SYSTEM_TIME ALL",
    },
}


def checksum(database: TestDatabase, table: str) -> tuple[int, str]:
    rows = sorted(map(repr, database.rows(f"SELECT * FROM {table}")))
    return len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.fixture(params=["postgres", "mariadb", "mysql", "sqlite"])
def servers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[TestDatabase, Callable[[], TestDatabase]]:
    """A database with all that belongs to it, and what makes the new server for it."""
    if request.param == "sqlite":
        make = request.getfixturevalue("make_database")
        database = make("sqlite")

        def move() -> TestDatabase:
            database.path.rename(tmp_path / "lost.sqlite")
            return database

        return database, move
    if request.param == "postgres":
        start = request.getfixturevalue("private_postgres")
    else:
        start = partial(request.getfixturevalue("private_mysql"), request.param)
    server: PostgresServer | MySqlServer = start()
    database = database_on(server)
    space = make_server_dir("space")
    request.addfinalizer(lambda: shutil.rmtree(space, ignore_errors=True))
    if isinstance(server, PostgresServer):
        with closing(server.connect("postgres")) as connection:
            connection.autocommit = True
            connection.execute(f"CREATE TABLESPACE apart LOCATION '{space}'")

    def renew() -> TestDatabase:
        database.close_connections()
        server.remove()
        for left in space.iterdir():
            shutil.rmtree(left)
        fresh = start()
        url = sa.make_url(database.url).set(host=fresh.host, port=fresh.port)
        text = url.render_as_string(hide_password=False)
        return replace(database, url=text, connector=lambda: connect(fresh, database.name))

    return database, renew


def connect(server: PostgresServer | MySqlServer, name: str) -> Any:
    return server.connect(name)


def log_in_as_the_application(database: TestDatabase) -> None:
    """It writes, and may not do what it might not do before."""
    url = sa.make_url(database.url)
    if database.kind == "postgres":
        with psycopg.connect(
            host=url.host, port=url.port, dbname=url.database, user="app", password=PASSWORD
        ) as connection:
            connection.execute("INSERT INTO \"app s\".notes (word) VALUES ('c')")
            assert connection.execute("SHOW statement_timeout").fetchone() == ("7min",)
            assert connection.execute("SHOW work_mem").fetchone() == ("9MB",)
            assert connection.execute("SELECT twice(21)").fetchone() == (42,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE ROLE another")
    elif database.kind == "mysql":
        with (
            pymysql.connect(
                host=url.host,
                port=url.port or 0,
                user="app",
                password=PASSWORD,
                database=url.database,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("INSERT INTO notes (word) VALUES ('c')")
            cursor.execute("SELECT word FROM notes ORDER BY id DESC LIMIT 1")
            assert cursor.fetchone() == ("C",)
            with pytest.raises(pymysql.OperationalError):
                cursor.execute("DROP TABLE notes")


def test_all_comes_back_on_a_new_server(
    servers: tuple[TestDatabase, Callable[[], TestDatabase]],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    database, renew = servers
    files_table(database, rows=600, days=30, archived_days=10, holes=5, min_size=1)
    settle(database)
    backups = {"dir": str(tmp_path / "backups")}
    settings = make_settings(database, tmp_path / "shards", backup=backups)
    write_config(settings, tmp_path / "des-admin.yaml")
    upgrade(settings)
    with open_archive(settings) as archive:
        run_cycle(archive)
    desk = sit_down(tmp_path, database)
    made = answer(desk, "des-admin backup create --dir backups --deep")
    assert made["backups"][0]["good_to_level"] == 3, made
    shown = answer(desk, "des-admin progress --exact")["archived"]["files"]
    rewound = desk.run(Block("sh", "des-admin watermark rewind 3d --reason drill --yes", 0))
    assert rewound.returncode == 0
    made = answer(desk, "des-admin backup create --dir backups")
    assert "not in it" not in made["backups"][0]["details"], made
    before = everything(database)
    fresh = renew()
    settings = make_settings(fresh, tmp_path / "shards", backup=backups)
    write_config(settings, tmp_path / "des-admin.yaml")
    shutil.rmtree(tmp_path / "bin")
    desk = sit_down(tmp_path, fresh)
    restore(desk, stop_before="des-admin watermark show")
    after = everything(fresh)
    # What came after the backup: that it was made, and checked.
    trail = [key for key in before if "des_archive_event" in key]
    assert [before.pop(key)[0] - after.pop(key)[0] for key in trail] == [2]
    # And the lease, which each writer takes and gives back.
    lease = [key for key in before if "des_archive_lease" in key]
    assert [before.pop(key)[0] - after.pop(key)[0] for key in lease] == [0]
    assert {key: (before[key], after[key]) for key in before if before[key] != after[key]} == {}
    assert before.keys() == after.keys()
    log_in_as_the_application(fresh)
    assert desk.run(Block("sh", "des-admin run", 0)).returncode == 0
    assert answer(desk, "des-admin progress --exact")["archived"]["files"] == shown
    assert answer(desk, "des-admin verify")["sound"] is True
