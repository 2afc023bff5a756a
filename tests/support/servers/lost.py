"""Losing a database for good, as a broken disk or a wrong command does."""

import sqlalchemy as sa

from support.servers.database import TestDatabase

_MAINTENANCE = {"postgres": "postgres", "mysql": "information_schema"}


def lose_database(database: TestDatabase) -> None:
    """Drop it with whoever is connected; SQLite leaves a write-ahead log that is not its own."""
    database.close_connections()
    if database.path is not None:
        database.path.unlink()
        for suffix in ("-wal", "-shm"):
            database.path.with_name(database.path.name + suffix).write_bytes(b"of the lost one")
        return
    url = sa.make_url(database.url).set(database=_MAINTENANCE[database.kind])
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    force = " WITH (FORCE)" if database.kind == "postgres" else ""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {database.quote(database.name)}{force}")
    engine.dispose()
