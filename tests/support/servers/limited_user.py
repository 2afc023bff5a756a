"""A database as somebody sees it who may do only what a test grants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from support.servers.database import TestDatabase

PASSWORD = "x"


@contextmanager
def limited_user(
    database: TestDatabase, grants: Sequence[str] = (), *, limit: str = ""
) -> Iterator[TestDatabase]:
    """The same database, logged in as a new user; `limited_name` is what it is called.

    `grants` are `GRANT …` without their TO. `limit` ends the statement that makes the user. The
    user and all that it owns are gone at the end.
    """
    name = limited_name(database)
    is_postgres = database.kind == "postgres"
    kind = "ROLE" if is_postgres else "USER"
    secret = f"LOGIN PASSWORD '{PASSWORD}'" if is_postgres else f"IDENTIFIED BY '{PASSWORD}'"
    database.execute(f"CREATE {kind} {name} {secret} {limit}")
    try:
        for grant in grants:
            database.execute(f"{grant} TO {name}")
        url = sa.make_url(database.url).set(username=name, password=PASSWORD)
        yield replace(database, url=url.render_as_string(hide_password=False))
    finally:
        if is_postgres:
            database.execute(f"DROP OWNED BY {name} CASCADE")
        database.execute(f"DROP {kind} {name}")


def limited_name(database: TestDatabase) -> str:
    """The user of `limited_user`."""
    return f"limited_{database.name[-8:]}"
