"""A standby of a PostgreSQL test server: a copy that streams what its primary writes."""

from collections.abc import Iterator
from contextlib import contextmanager

from support.servers.postgres import PASSWORD, USER, PostgresServer
from support.servers.processes import run_tool


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A hot standby while the block runs; it has no slot, so its primary keeps nothing for it.

    The primary is stopped and started again for the copy: not every package of the server has
    pg_basebackup. The standby reports every second how far it is, also when nothing happens.
    """
    source = f"host={primary.host} port={primary.port} user={USER} password={PASSWORD}"
    settings = {
        **primary.settings,
        "wal_receiver_status_interval": "1",
        "primary_conninfo": source,
    }
    standby = PostgresServer(primary.binaries, settings)
    try:
        primary.stop()
        run_tool(["cp", "-R", primary.data_dir, standby.data_dir], cwd=standby.directory)
        run_tool(["chmod", "700", standby.data_dir], cwd=standby.directory)
        run_tool(["touch", standby.data_dir / "standby.signal"], cwd=standby.directory)
        primary.start()
        standby.start()
        yield standby
    finally:
        standby.remove()
