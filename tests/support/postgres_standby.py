"""A standby of a PostgreSQL test server: a base backup that streams what its primary writes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from support.postgres_server import PASSWORD, USER, PostgresServer
from support.processes import run_tool


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A hot standby while the block runs; it has no slot, so its primary keeps nothing for it.

    It reports every second how far it is, also when nothing happens.
    """
    settings = {**primary.settings, "wal_receiver_status_interval": "1"}
    standby = PostgresServer(primary.binaries, settings)
    source = f"host={primary.host} port={primary.port} user={USER} password='{PASSWORD}'"
    try:
        run_tool(
            [
                *(primary.binaries.directory / "pg_basebackup", "-D", standby.data_dir),
                *("-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            ],
            cwd=standby.directory,
        )
        with standby:
            yield standby
    finally:
        shutil.rmtree(standby.directory, ignore_errors=True)
