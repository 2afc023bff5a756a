"""A scratch database on the same server, or a scratch file: made, used, and gone whatever happens.

Its name holds the time, so that one that a kill -9 left behind is recognised and removed a day
later, when nobody can be rehearsing on it any more.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from des_core.backup.identity import Target
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import DesError, Refused
from des_core.basics.identifiers import Dialect

PREFIX = "des_rehearsal_"
LEFT_BEHIND_S = 86_400


@contextmanager
def scratch_database(source: Target) -> Iterator[Target]:
    """An empty database beside the source. Refused where the user may not make one."""
    if source.dialect is Dialect.SQLITE:
        with TemporaryDirectory(prefix=PREFIX) as directory:
            path = Path(directory) / "scratch.sqlite"
            path.touch()
            yield from _opened(source, str(path))
        return
    remove_leftovers(source)
    name = f"{PREFIX}{int(time.time())}_{secrets.token_hex(4)}"
    try:
        _run(source, "scratch_create", name)
    except DesError as exc:
        raise Refused(
            f"no scratch database can be made for the rehearsal: {exc.message}",
            hint="let this user make one (CREATEDB; CREATE and DROP on `des\\_rehearsal\\_%`), "
            "or rehearse as a user that may",
            database=source.database.label,
        ) from exc
    try:
        yield from _opened(source, name)
    finally:
        _run(source, "scratch_drop", name)


def remove_leftovers(source: Target) -> list[str]:
    """Drop what rehearsals of earlier days left behind; the names of those that went."""
    statement = BackupCatalog(source.dialect).load("rehearsal", "leftovers.sql")
    with source.database.read() as tx:
        names = [str(row.name) for row in tx.run(statement)]
    old = [name for name in names if _age_s(name) > LEFT_BEHIND_S]
    for name in old:
        with suppress(DesError):  # somebody else's: a rehearsal needs only its own
            _run(source, "scratch_drop", name)
    return old


def _opened(source: Target, name: str) -> Iterator[Target]:
    target = source.scratch(name)
    try:
        yield target
    finally:
        target.database.close()


def _run(source: Target, statement: str, name: str) -> None:
    catalog = BackupCatalog(source.dialect, scratch=name)
    with source.database.autocommit() as tx:
        tx.run(catalog.backup(statement))


def _age_s(name: str) -> float:
    stamp = name.removeprefix(PREFIX).partition("_")[0]
    return time.time() - int(stamp) if stamp.isdigit() else 0.0
