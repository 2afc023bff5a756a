"""What a dump of one database does not hold by itself: held beside it, or named."""

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from backup.conftest import Bench, codes
from des_core.backup.findings import Level
from support.servers.database import TestDatabase

COLUMNS = "uid text, created_at timestamptz, file_location text, size_bytes bigint, archived bool"


def test_view_whose_definer_is_gone_is_no_fault_of_the_backup(
    make_database: Callable[[str], TestDatabase],
    files_table: Callable[..., object],
    make_bench: Callable[[TestDatabase], Bench],
) -> None:
    """The server keeps it under the name of its database: only there it comes back."""
    database = make_database("mariadb")
    files_table(database, rows=20, files=False)
    user = f"gone_{database.name[-8:]}@'%'"
    database.execute(f"CREATE USER {user}")
    database.execute(f"GRANT ALL ON {database.quote(database.name)}.* TO {user}")
    database.execute(f"CREATE DEFINER = {user} VIEW seen AS SELECT * FROM files")
    database.execute(f"DROP USER {user}")
    bench = make_bench(database)
    report = bench.check(bench.create().path)
    assert (codes(report), report.level) == ({"views_not_tried"}, Level.L3)
    assert "routines and events" in report.details["restored without"]


def test_partitions_are_dumped_with_their_parent(
    make_database: Callable[[str], TestDatabase], make_bench: Callable[[TestDatabase], Bench]
) -> None:
    """Before version 16, pg_dump leaves them out beside `--table PARENT`."""
    database = make_database("postgres")
    database.execute(f"CREATE TABLE files ({COLUMNS}) PARTITION BY RANGE (created_at)")
    database.execute("CREATE SCHEMA parts")
    for year in (2023, 2024):
        database.execute(
            f"CREATE TABLE parts.of_{year} PARTITION OF files FOR VALUES"
            f" FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    database.execute(
        "INSERT INTO files SELECT g, TIMESTAMPTZ '2023-06-01' + g * INTERVAL '1 day', '/a', g,"
        " false FROM generate_series(1, 400) AS g"
    )
    bench = make_bench(database)
    stored = bench.create(tables=("files",))
    report = bench.check(stored.path)
    assert (codes(report), report.level) == (set(), Level.L3)
    assert any("large objects" in what for what in stored.manifest.left_out)


def test_restore_without_owners_is_said(
    make_database: Callable[[str], TestDatabase],
    files_table: Callable[..., object],
    make_bench: Callable[[TestDatabase], Bench],
) -> None:
    """Somebody who may make databases, and no roles."""
    database = make_database("postgres")
    files_table(database, rows=20, files=False)
    bench = make_bench(database)
    stored = bench.create()
    assert codes(bench.check(stored.path)) == set()
    role = f"maker_{database.name[-8:]}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CREATEDB")
    database.execute(f"GRANT SELECT ON files TO {role}")
    try:
        url = sa.make_url(database.url).set(username=role, password="x")
        lowly = make_bench(replace(database, url=url.render_as_string(hide_password=False)))
        report = lowly.check(stored.path)
        assert (codes(report), report.level) == ({"without_owners"}, Level.L3)
        assert "owners, rights, tablespaces" in report.details["restored without"]
        made = lowly.create()
        assert any("passwords of roles" in what for what in made.manifest.left_out)
        lowly.close()
    finally:
        database.execute(f"REVOKE ALL ON files FROM {role}")
        database.execute(f"DROP ROLE {role}")


def test_role_that_is_there_keeps_its_password(bench: Bench) -> None:
    if bench.database.kind != "postgres":
        return
    role = f"kept_{bench.database.name[-8:]}"
    bench.database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'before'")
    try:
        stored = bench.create()
        bench.database.execute(f"ALTER ROLE {role} PASSWORD 'after' NOLOGIN")
        query = f"SELECT rolpassword, rolcanlogin FROM pg_authid WHERE rolname = '{role}'"
        before = bench.database.rows(query)
        text = (stored.path / "roles.sql").read_text()
        [block] = [part for part in text.split("END $des_") if f"CREATE ROLE {role};" in part]
        mark = block.rpartition("DO $des_")[2].partition("$")[0]
        statement = block.rpartition("DO $des_")[2]
        bench.database.execute(f"DO $des_{statement}END $des_{mark}$")
        assert bench.database.rows(query) == before
    finally:
        bench.database.execute(f"DROP ROLE {role}")
