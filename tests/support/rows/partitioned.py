"""`files` of a test as a partitioned table of PostgreSQL, with the same rows."""

from datetime import date, timedelta

from support.servers.database import TestDatabase

FIRST_DAY = date(2024, 1, 1)


def partition_files(database: TestDatabase, days: int) -> None:
    """By ranges of two days; the second range is divided again by uid; the rest by default."""
    statements = [
        "ALTER TABLE files RENAME TO files_plain",
        "DROP INDEX idx_files_created_archived",
        "CREATE TABLE files (uid text NOT NULL, created_at timestamptz NOT NULL,"
        " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL DEFAULT false,"
        " CONSTRAINT files_key PRIMARY KEY (uid, created_at)) PARTITION BY RANGE (created_at)",
    ]
    for number, offset in enumerate(range(0, days, 2)):
        start, end = (FIRST_DAY + timedelta(days=day) for day in (offset, offset + 2))
        by_hash = " PARTITION BY HASH (uid)" if number == 1 else ""
        statements.append(
            f"CREATE TABLE files_{number} PARTITION OF files"
            f" FOR VALUES FROM ('{start} 00:00+00') TO ('{end} 00:00+00'){by_hash}"
        )
    statements += [
        f"CREATE TABLE files_1_{part} PARTITION OF files_1"
        f" FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
        for part in range(2)
    ]
    statements += [
        "CREATE TABLE files_rest PARTITION OF files DEFAULT",
        "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
        " WHERE archived = FALSE",
        "INSERT INTO files SELECT * FROM files_plain",
        "DROP TABLE files_plain",
    ]
    database.execute_script(statements)


def broken_indexes(database: TestDatabase) -> list[str]:
    """Indexes that are not valid, of whatever table."""
    rows = database.rows(
        "SELECT CAST(indexrelid::regclass AS text) FROM pg_index WHERE NOT indisvalid"
    )
    return [name for (name,) in rows]
