"""What the configured database says of itself, for the comparisons of L0."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from des_core.backup.identity import LiveServer, Target, read_server
from des_core.backup.numbers import VERSION_TABLE, read_revision


@dataclass(frozen=True)
class Live:
    """One configured database that answered. On the disk of `near` a backup should not lie."""

    target: Target
    server: LiveServer
    revision: tuple[str, ...]
    near: tuple[Path, ...] = ()


def read_live(target: Target, near: tuple[Path, ...] = ()) -> Live:
    """Ask the server; DatabaseUnreachable where it does not answer."""
    server = read_server(target)
    with target.database.read() as tx:
        has_version = sa.inspect(tx.connection).has_table(VERSION_TABLE)
        revision = read_revision(tx) if has_version else ()
    places = (server.data_directory,) if server.data_directory is not None else ()
    return Live(target, server, revision, (*places, *near))
