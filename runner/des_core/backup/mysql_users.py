"""What a dump of one MySQL or MariaDB database lacks: users, roles and their grants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.backup.compression import compression_of, make_compressor
from des_core.backup.identity import LiveServer, Target
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import DesError
from des_core.basics.identifiers import Dialect, quote

if TYPE_CHECKING:
    from des_core.database.catalog import Statement
    from des_core.database.transaction import Transaction

USERS_FILE = "users.sql"
GRANTS_FILE = "grants.sql"
CLOSING = "-- Dump completed"
# They belong to the server, which makes them itself.
_OF_SERVER = frozenset({"mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "PUBLIC"})
_PASSWORD = re.compile(r" IDENTIFIED (?:BY PASSWORD '[^']*'|VIA .+?)(?= REQUIRE | WITH |$)")
_ON = re.compile(
    r" ON (?:(?:PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY) )?"
    r"(?P<database>\*|`(?:[^`]|``)+`)\.(?P<object>\*|`)"
)


def dump_users(target: Target, server: LiveServer, directory: Path, suffix: str) -> tuple[str, ...]:
    """Write users, and in a file of its own their grants; returns what is left out, in words.

    Grants come last in a restore: those on a table want the table.
    """
    is_mariadb = server.identity.product == "MariaDB"
    try:
        with target.database.read() as tx:
            accounts = list(_accounts(tx, is_mariadb=is_mariadb))
            users = [_creation(tx, *account) for account in accounts]
            grants = [g for a in accounts for g in _grants(tx, a[0], target.name)]
    except DesError as exc:
        return (f"users and their grants ({exc.message})",)
    _write(directory / f"{USERS_FILE}{suffix}", users)
    _write(directory / f"{GRANTS_FILE}{suffix}", grants)
    return ()


def _accounts(tx: Transaction, *, is_mariadb: bool) -> Iterator[tuple[str, bool]]:
    """Quoted names, and whether each is a role; roles first."""
    if not is_mariadb:
        tx.run(BackupCatalog(Dialect.MYSQL).backup("hashes_as_hex"))
    name = "accounts_mariadb" if is_mariadb else "accounts_mysql"
    for row in tx.run(BackupCatalog(Dialect.MYSQL).backup(name)).all():
        user, host, is_role = str(row.user_name), str(row.host_name), row.is_role == "Y"
        if user in _OF_SERVER:
            continue
        quoted = quote(user, Dialect.MYSQL) if user else "''"
        yield (quoted if is_role else f"{quoted}@{quote(host, Dialect.MYSQL)}"), is_role


def _creation(tx: Transaction, account: str, is_role: bool) -> str:
    if is_role:
        return _of(account, "restore_account", kind="ROLE").sql
    made = str(tx.run(_of(account, "show_user")).scalar_one())
    return _of(made.removeprefix("CREATE USER "), "restore_account").sql


def _of(account: str, name: str, *, kind: str = "USER") -> Statement:
    return BackupCatalog(Dialect.MYSQL, account=account, account_kind=kind).backup(name)


def _grants(tx: Transaction, account: str, database: str) -> Iterator[str]:
    """Without passwords; those on single objects of other databases are not for this one."""
    for row in tx.run(_of(account, "show_grants")).all():
        text = str(row[0])
        if text.startswith("GRANT PROXY "):
            continue
        on = _ON.search(text)
        is_of_other = on is not None and on["database"] not in ("*", quote(database, Dialect.MYSQL))
        if is_of_other and on is not None and on["object"] != "*":
            continue
        yield _PASSWORD.sub("", text)


def _write(path: Path, statements: list[str]) -> None:
    lines = [*(f"{statement};" for statement in statements), CLOSING]
    data = ("-- users of the server\n" + "\n".join(lines) + "\n").encode()
    kind = compression_of(path.name)
    if kind is not None:
        compressor = make_compressor(kind, 1)
        data = compressor.compress(data) + compressor.flush()
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)
