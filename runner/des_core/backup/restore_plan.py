"""The commands that bring a backup back: for this backup, this database, with its own tools.

They are written, not run: the operator reads them, and runs them where the server is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.backup.compression import Compression, compression_of
from des_core.backup.dump import Layout, Stored
from des_core.backup.manifest import Manifest
from des_core.backup.mysql import DATA_FILE as SQL_FILE
from des_core.backup.mysql import ROUTINES_FILE
from des_core.backup.mysql_users import GRANTS_FILE, USERS_FILE
from des_core.backup.postgres import DATA_DIRECTORY, DATA_FILE
from des_core.backup.postgres_globals import ROLES_FILE, TABLESPACES_FILE
from des_core.backup.programs import read_version
from des_core.backup.sqlite import DATA_FILE as SQLITE_FILE
from des_core.backup.statements import BackupCatalog
from des_core.basics.database_urls import parse_url
from des_core.basics.identifiers import Dialect, parse_table
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import printable

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

JOBS = 2
# CREATE DATABASE of a later pg_dump names the provider, which an earlier server does not know.
LOCALE_PROVIDERS = (15,)
_PROVIDERS = {"i": "icu", "b": "builtin"}
_READERS = {Compression.ZSTD: "zstd -dc", Compression.GZIP: "gzip -dc", None: "cat"}


@dataclass(frozen=True, slots=True)
class Step:
    """Some commands, and above them what they do; without commands only that."""

    words: tuple[str, ...]
    commands: tuple[str, ...] = ()


def restore_script(backups: Iterable[tuple[Stored, str]]) -> str:
    """A bash script that restores each backup into the database of the URL beside it.

    The URL says host, port, user and name; passwords never stand in the script.
    """
    lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
    for stored, url_text in backups:
        lines += ["", *_comment(_head(stored))]
        for step in _steps(stored, parse_url(url_text)):
            lines += ["", *_comment(step.words), *step.commands]
    return "\n".join(lines) + "\n"


def _head(stored: Stored) -> Iterator[str]:
    manifest = stored.manifest
    server = manifest.server
    yield (
        f"{manifest.name}: {server.product} {server.version}, database {server.database} "
        f"({' and '.join(manifest.roles)}), data as of {format_utc(manifest.started_at)}."
    )
    yield from (f"Not in it: {what}." for what in manifest.left_out)
    if manifest.roles == ("config",):
        yield "Ledger and watermark only: the table with the files stays as it is."


def _steps(stored: Stored, url: URL) -> Iterator[Step]:
    yield Step(
        ("Read it once more; this stops here if it is damaged.",),
        (f"des-admin backup check --offline {_shell(stored.path.resolve())}",),
    )
    makers = {
        Dialect.POSTGRES: _postgres_steps,
        Dialect.MYSQL: _mysql_steps,
        Dialect.SQLITE: _sqlite_steps,
    }
    yield from makers[Dialect(stored.manifest.server.dialect)](stored, url)


def _postgres_steps(stored: Stored, url: URL) -> Iterator[Step]:
    manifest, path = stored.manifest, stored.path.resolve()
    variables = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username}
    host = url.query.get("host")
    if host is not None and url.host is None:
        variables["PGHOST"] = str(host)
    given = " ".join(f"{key}={_shell(value)}" for key, value in variables.items() if value)
    yield Step(
        ("A superuser, or the owner of everything. The password: PGPASSWORD or ~/.pgpass.",),
        (f"export {given}",) if given else (),
    )
    admin = "psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname=postgres"
    for name, words in (
        (ROLES_FILE, "Roles: those that are there keep password and rights."),
        (TABLESPACES_FILE, "Tablespaces: their directories must be there, empty, of the server."),
    ):
        if _has(manifest, name):
            yield Step((words,), (f"{admin} --file={_shell(path / name)}",))
    name = url.database or manifest.server.database
    data = _shell(path / (DATA_DIRECTORY if manifest.layout == Layout.DIRECTORY else DATA_FILE))
    has_provider = read_version(manifest.server.version) >= LOCALE_PROVIDERS
    same_create = has_provider or not _dumped_by_newer(manifest)
    if manifest.chosen_tables is None and name == manifest.server.database and same_create:
        yield Step(
            ("The database with its encoding, locale, settings and rights, and all in it.",),
            (
                f"dropdb --if-exists --force {_shell(name)}",
                *_pg_restore(manifest, f"--create --dbname=postgres {data}"),
            ),
        )
        return
    above = ["An empty database with the same encoding and locale."]
    if manifest.chosen_tables is None and not same_create:
        above.append("This server does not know how the newer pg_dump creates a database: give it")
        above.append("its own settings and rights by hand (ALTER DATABASE, GRANT ON DATABASE).")
    elif manifest.chosen_tables is None:
        above.append(f"Its own settings and rights were those of {manifest.server.database}.")
    yield Step(
        tuple(above),
        (
            f"dropdb --if-exists --force {_shell(name)}",
            f"createdb {_locale(manifest)} {_shell(name)}",
        ),
    )
    schemas = _create_schemas(manifest)
    if schemas:
        create = f"psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname={_shell(name)}"
        commands = (f"{create} --command={_shell(statement)}" for statement in schemas)
        yield Step(("A dump of chosen tables brings no schema with it.",), tuple(commands))
    yield Step(("The tables.",), _pg_restore(manifest, f"--dbname={_shell(name)} {data}"))


def _pg_restore(manifest: Manifest, options: str) -> tuple[str, ...]:
    """What a server refuses only because a newer pg_restore sets it does not stop the script."""
    if not _dumped_by_newer(manifest):
        return (f"pg_restore --exit-on-error --jobs={JOBS} {options}",)
    count = "grep --count 'pg_restore: error:{}' \"$errors\""
    all_of_them, unknown = count.format(""), count.format(".*unrecognized configuration parameter")
    return (
        "errors=$(mktemp)",
        f'LC_ALL=C pg_restore --jobs={JOBS} {options} 2>"$errors" || {{',
        '    cat "$errors" >&2',
        "    # It came to its end, and all that failed is what this server cannot set.",
        "    grep --quiet 'errors ignored on restore' \"$errors\"",
        f'    [ "$({all_of_them})" = "$({unknown})" ]',
        "}",
    )


def _dumped_by_newer(manifest: Manifest) -> bool:
    tool, server = (read_version(each.version) for each in (manifest.tool, manifest.server))
    return tool[:1] > server[:1]


def _locale(manifest: Manifest) -> str:
    options = ["--template=template0"]
    locale = manifest.locale
    if locale is not None:
        options.append(f"--encoding={_shell(locale.encoding)}")
        options += [f"--lc-collate={_shell(locale.collate)}"] if locale.collate else []
        options += [f"--lc-ctype={_shell(locale.ctype)}"] if locale.ctype else []
        provider = _PROVIDERS.get(locale.provider or "")
        if provider and locale.provider_locale:
            name = _shell(locale.provider_locale)
            options += [f"--locale-provider={provider}", f"--{provider}-locale={name}"]
    return " ".join(options)


def _create_schemas(manifest: Manifest) -> list[str]:
    if manifest.chosen_tables is None:
        return []
    default = manifest.source.default_schema or "public"
    tables = (parse_table(name, None) for name in manifest.chosen_tables)
    schemas = sorted({table.schema or default for table in tables} - {"public"})
    return [
        BackupCatalog(Dialect.POSTGRES, schema=schema).backup("schema_create").sql
        for schema in schemas
    ]


def _mysql_steps(stored: Stored, url: URL) -> Iterator[Step]:
    manifest, path = stored.manifest, stored.path.resolve()
    program = "mariadb" if manifest.server.product == "MariaDB" else "mysql"
    yield Step(
        ("CLIENT_CNF is an option file with host, user and password of somebody who may do all.",),
        (
            f'client=({program} "--defaults-file=${{CLIENT_CNF:-client.cnf}}")',
            f'"${{client[@]}}" --database=information_schema --execute={_shell("DO 1")}',
        ),
    )
    admin = '"${client[@]}" --database=information_schema'
    users = _file(manifest, USERS_FILE)
    if users:
        yield Step(
            ("Users and roles: those that are there keep their passwords.",),
            (f"{_read(path / users)} | {admin}",),
        )
    name = url.database or manifest.server.database
    catalog = BackupCatalog(Dialect.MYSQL, scratch=name, locale=manifest.locale)
    yield Step(
        ("An empty database with the same character set and collation.",),
        tuple(
            f"{admin} --execute={_shell(catalog.backup(statement).sql)}"
            for statement in ("scratch_drop", "scratch_create")
        ),
    )
    into = f'"${{client[@]}}" --database={_shell(name)}'
    for stem, words in ((SQL_FILE, "The tables."), (ROUTINES_FILE, "Routines and events.")):
        found = _file(manifest, stem)
        if found:
            yield Step((words,), (f"{_read(path / found)} | {into}",))
    grants = _file(manifest, GRANTS_FILE)
    if grants:
        yield Step(("What the users may do.",), (f"{_read(path / grants)} | {admin}",))


def _sqlite_steps(stored: Stored, url: URL) -> Iterator[Step]:
    target = Path(url.database or stored.manifest.server.database).resolve()
    names = [_shell(f"{target}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
    loop = f"for lost in {' '.join(names)}; do"
    yield Step(
        (
            "What is there is set aside whole: a log of the lost database would damage the",
            "restored one.",
        ),
        (loop, '  if [ -e "$lost" ]; then mv -- "$lost" "$lost.lost"; fi', "done"),
    )
    coming = _shell(f"{target}.restoring")
    yield Step(
        ("The copy gets its name when it is whole. Its owner is who runs this.",),
        (
            f"cp -- {_shell(stored.path.resolve() / SQLITE_FILE)} {coming}",
            f"sync {coming}",
            f"mv -- {coming} {_shell(target)}",
        ),
    )


def _read(path: Path) -> str:
    return f"{_READERS[compression_of(path.name)]} {_shell(path)}"


def _file(manifest: Manifest, stem: str) -> str | None:
    names = (entry.path for entry in manifest.files)
    return next((name for name in names if name.startswith(stem)), None)


def _has(manifest: Manifest, name: str) -> bool:
    return any(entry.path == name for entry in manifest.files)


def _shell(value: object) -> str:
    return shlex.quote(str(value))


def _comment(words: Iterable[str]) -> list[str]:
    return [f"# {printable(' '.join(line.split()))}" for line in words]
