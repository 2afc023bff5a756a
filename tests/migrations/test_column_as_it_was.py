"""The column archived comes back as it was made, or the plan says before the drop what will not."""

import re
from typing import Any

import pytest

from des_core.basics.errors import WrongSchema
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice
from des_core.migration.work import archived_column
from migrations.test_listed import back, there
from support.program.migrating import advance, rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
WORDS = r"asked for by O''Neil: 100 % of \\ and :names; -- who else?"
POSTGRES_LOOKS = """
SELECT format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid),
       col_description(attrelid, attnum), attstattarget, CAST(attoptions AS text),
       (SELECT CAST(array_agg(ROW(grantee, privilege_type, is_grantable)
                              ORDER BY grantee, privilege_type) AS text)
        FROM aclexplode(attacl))
FROM pg_attribute
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = CAST('files' AS regclass) AND attname = 'archived'
"""
SQLITE_LOOKS = (
    "SELECT type, \"notnull\", dflt_value FROM pragma_table_info('files') WHERE name = 'archived'"
)
POSTGRES = {
    "as most": [],
    "all at once": [
        "ALTER TABLE files ALTER COLUMN archived DROP NOT NULL",
        "ALTER TABLE files ALTER COLUMN archived DROP DEFAULT",
        f"COMMENT ON COLUMN files.archived IS E'{WORDS}'",
        "GRANT SELECT (archived), UPDATE (archived) ON files TO PUBLIC",
        "GRANT SELECT (archived) ON files TO CURRENT_USER WITH GRANT OPTION",
        "ALTER TABLE files ALTER COLUMN archived SET STATISTICS 500",
        "ALTER TABLE files ALTER COLUMN archived SET (n_distinct = 2)",
    ],
    "true by default": ["ALTER TABLE files ALTER COLUMN archived SET DEFAULT TRUE"],
    "null by default": [
        "ALTER TABLE files ALTER COLUMN archived DROP NOT NULL",
        "ALTER TABLE files ALTER COLUMN archived SET DEFAULT NULL",
    ],
}
MYSQL = {
    "as most": [],
    "all at once": [
        f"ALTER TABLE files MODIFY archived SMALLINT UNSIGNED NULL COMMENT '{WORDS}' AFTER uid"
    ],
    "first, and without a default": ["ALTER TABLE files MODIFY archived BOOLEAN NOT NULL FIRST"],
    "a bit": ["ALTER TABLE files MODIFY archived BIT(1) NOT NULL DEFAULT b'0'"],
    "a bit, true by default": ["ALTER TABLE files MODIFY archived BIT(1) NULL DEFAULT b'1'"],
    "bigint": ["ALTER TABLE files MODIFY archived BIGINT NOT NULL DEFAULT 1"],
    "not seen": [
        "ALTER TABLE files MODIFY archived BOOLEAN NOT NULL DEFAULT FALSE INVISIBLE COMMENT 'x'"
    ],
}
SQLITE = {
    "as most": "archived BOOLEAN NOT NULL DEFAULT FALSE",
    "a check of its own": "archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1))",
    "nothing said": '"archived"',
    "null": "[archived] boolean NULL DEFAULT NULL",
    "true by default": "archived\n  boolean /* once, twice */ NOT NULL DEFAULT (1)",
}


def looks(database: TestDatabase) -> Any:
    """All that the server says of the column."""
    if database.kind == "postgres":
        return database.rows(POSTGRES_LOOKS)
    if database.kind == "sqlite":
        [(text,)] = database.rows("SELECT sql FROM sqlite_master WHERE name = 'files'")
        return database.rows(SQLITE_LOOKS), "CHECK" in text
    [(_, text)] = database.rows("SHOW CREATE TABLE files")
    return [line.strip(" ,") for line in text.splitlines() if line.startswith("  `")]


def flags(database: TestDatabase) -> set[str]:
    """The files that are marked archived; no other row but says that it is not."""
    assert database.value("SELECT COUNT(*) FROM files WHERE archived IS NULL") == 0
    rows = database.rows("SELECT uid FROM files WHERE archived")
    return {uid for (uid,) in rows}


def remake(database: TestDatabase, definition: str) -> None:
    """SQLite changes no column: the table is made anew."""
    [(text,)] = database.rows("SELECT sql FROM sqlite_master WHERE name = 'files'")
    database.execute_script(
        [
            "ALTER TABLE files RENAME TO plain",
            "DROP INDEX idx_files_created_archived",
            re.sub(r'"?archived"?[^,)]*(?=[,)])', lambda _: definition, text),
            "INSERT INTO files SELECT * FROM plain",
            "DROP TABLE plain",
            "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
            " WHERE archived = FALSE",
        ]
    )


def there_and_back(database: TestDatabase, files_table: FilesTableFactory, change: Any) -> None:
    files_table(database, 60, days=6, archived_days=3, holes=3, files=False)
    if database.kind == "sqlite":
        remake(database, change)
    else:
        database.execute_script(change)
    settings = settings_for(database)
    before = looks(database)
    for _ in range(2):
        there(settings, DROP)
        advance(settings, 1)
        expected = {row[0] for row in rows_by_formula(database, database) if row[4]}
        back(settings)
        assert looks(database) == before
        assert flags(database) == expected
    assert "archived_column" not in [
        name for (name,) in database.rows("SELECT name FROM des_archive_job")
    ]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("change", POSTGRES)
def test_on_postgres(database: TestDatabase, files_table: FilesTableFactory, change: str) -> None:
    there_and_back(database, files_table, POSTGRES[change])


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize("change", MYSQL)
def test_on_mysql(database: TestDatabase, files_table: FilesTableFactory, change: str) -> None:
    there_and_back(database, files_table, MYSQL[change])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", SQLITE)
def test_on_sqlite(database: TestDatabase, files_table: FilesTableFactory, change: str) -> None:
    there_and_back(database, files_table, SQLITE[change])


class Cut(Exception):
    """A run that ends in its middle."""


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_way_back_that_was_cut_off_after_each_step(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 60, days=6, archived_days=3, holes=3, files=False)
    database.execute_script((POSTGRES if database.kind == "postgres" else MYSQL)["all at once"])
    settings = settings_for(database)
    before = looks(database)
    upgrade(settings, options=DROP)
    expected = {row[0] for row in rows_by_formula(database, database) if row[4]}

    cuts: list[str] = []

    def cut_after_a_step(notice: Notice) -> None:
        if notice.took_s is not None and notice.step not in cuts:
            raise Cut(notice.step)

    for _ in range(40):
        try:
            downgrade(settings, report=cut_after_a_step)
            break
        except Cut as cut:
            cuts.append(str(cut))
    assert {"add_archived", "forget_column"} <= set(cuts)
    assert looks(database) == before
    assert flags(database) == expected


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_role_that_is_gone_keeps_nobody_from_going_back(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=2, archived_days=1, files=False)
    role = f"auditor_{database.name}"
    settings = settings_for(database)
    database.execute(f"CREATE ROLE {role}")
    database.execute(f"GRANT SELECT (archived) ON files TO {role}")
    upgrade(settings, options=DROP)
    database.execute(f"DROP ROLE {role}")
    downgrade(settings)
    assert looks(database)[0][-1] is None


LOST = {
    "postgres": (
        [
            "CREATE DOMAIN flag AS boolean",
            "ALTER TABLE files ALTER COLUMN archived DROP DEFAULT",
            "ALTER TABLE files ALTER COLUMN archived TYPE flag",
            "ALTER TABLE files ALTER COLUMN archived SET DEFAULT random() > 2",
            "ALTER TABLE files ALTER COLUMN archived DROP NOT NULL",
            "ALTER TABLE files ADD COLUMN checked integer",
        ],
        ["type flag", "default (random", "NULL in rows", "position"],
    ),
    "mysql": (["ALTER TABLE files MODIFY archived SMALLINT NULL"], ["NULL in rows"]),
    "sqlite": (["ALTER TABLE files ADD COLUMN checked integer"], ["position"]),
}


def test_what_does_not_come_back_is_said_before_it_goes(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=4, archived_days=2, files=False)
    changes, expected = LOST[database.kind]
    database.execute_script(changes)
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.UP, options=DROP)
    [found] = [finding for finding in plan.gate if finding.check == "back"]
    assert found.is_warning
    for part in expected:
        assert part in found.text
    upgrade(settings, options=DROP)
    downgrade(settings)
    assert len(flags(database)) == 10


def test_a_column_that_the_catalogue_does_not_describe_stays(
    database: TestDatabase, files_table: FilesTableFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan, which saw it, and the drop the description is hidden."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = settings_for(database)
    upgrade(settings)
    before = looks(database), canonical_rows(database), events(database)
    monkeypatch.setattr(archived_column, "look_at_column", lambda _: None)
    with pytest.raises(WrongSchema, match="the catalogue does not say"):
        upgrade(settings, options=DROP)
    assert (looks(database), canonical_rows(database), events(database)) == before
    monkeypatch.undo()
    there(settings, DROP)
    back(settings)
    assert looks(database) == before[0]


def events(database: TestDatabase) -> list[str]:
    return [action for (action,) in database.rows("SELECT action FROM des_archive_event")]


@pytest.mark.parametrize("database", ["sqlite", "mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize("column", ["archived", "size_bytes"])
def test_a_column_in_other_letters_is_not_taken_for_gone(
    database: TestDatabase, files_table: FilesTableFactory, column: str
) -> None:
    files_table(database, 30, days=3, archived_days=1, files=False)
    for old, new in ((column, "meanwhile"), ("meanwhile", column.upper())):
        database.execute(f"ALTER TABLE files RENAME COLUMN {old} TO {new}")
    with pytest.raises(WrongSchema, match=f"{column} is spelled {column.upper()}"):
        upgrade(settings_for(database))
    assert "des_archive_config" not in database.table_names()
    upgrade(
        settings_for(
            database,
            **{
                {"archived": "archived_column", "size_bytes": "size_column"}[column]: column.upper()
            },
        )
    )
