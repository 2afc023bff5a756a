"""What `init` asks, and how the answers become a database URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from des_admin.context import Context
from des_core.basics.errors import UsageError

_PORTS = {"postgresql": "5432", "mysql": "3306", "mariadb": "3306"}
_SCHEMES = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}


@dataclass(frozen=True)
class Answers:
    """What the file is made of; None is not answered yet (`config_url`: the same database)."""

    url: str | None = None
    config_url: str | None = None
    table: str | None = None
    output_dir: str | None = None
    source_roots: tuple[str, ...] = ()
    lag_days: int | None = None


def ask_missing(context: Context, answers: Answers) -> Answers:
    """Complete answers: asked for on a terminal, defaults or UsageError elsewhere."""
    if answers.url is None or answers.output_dir is None:
        if not context.prompts.somebody_is_there:
            raise UsageError(
                "there is no terminal to ask on",
                hint="give at least --url and --output-dir; see: des-admin init --help",
            )
        answers = _ask(context, answers)
    for url in (answers.url, answers.config_url):
        if url is not None:
            _require_no_secret(url)
    return replace(
        answers,
        table=answers.table or "files",
        lag_days=7 if answers.lag_days is None else answers.lag_days,
    )


def _ask(context: Context, answers: Answers) -> Answers:
    ask = context.prompts.ask
    url = answers.url or _ask_url(context)
    table = answers.table or ask("Table with one row per file", "files")
    output = answers.output_dir or ask("Directory for the shards", "/mnt/des/output")
    roots = answers.source_roots
    while not roots:
        text = ask("Directories that hold the source files, with commas between them (/: anywhere)")
        roots = tuple(part.strip() for part in text.split(",") if part.strip())
    lag = answers.lag_days
    while lag is None:
        text = ask("Pack files older than how many days", "7")
        lag = int(text) if text.isascii() and text.isdecimal() else None
    return replace(
        answers, url=url, table=table, output_dir=output, source_roots=roots, lag_days=lag
    )


def _ask_url(context: Context) -> str:
    ask = context.prompts.ask
    kind = ""
    while kind not in (*_PORTS, "sqlite"):
        kind = ask("Database: postgresql, mysql, mariadb or sqlite", "postgresql").lower()
    if kind == "sqlite":
        return f"sqlite:///{Path(ask('Path of the database file')).absolute()}"
    host = ask("Host", "localhost")
    port = ask("Port", _PORTS[kind])
    name = ask("Name of the database", "archive_db")
    user = ask("User", "archive")
    variable = ask("Environment variable that holds the password", "DB_PASSWORD")
    login = f"{quote(user, safe='')}:${{{variable}}}" if variable else quote(user, safe="")
    return f"{_SCHEMES[kind]}://{login}@{host}:{port}/{quote(name, safe='')}"


def _require_no_secret(url: str) -> None:
    """UsageError where a URL holds a password in so many letters."""
    from des_core.basics.database_urls import parse_url

    password = parse_url(url).password
    if password and "${" not in str(password):
        raise UsageError(
            "a password must not stand in the file or on the command line",
            hint="write ${DB_PASSWORD} in its place and set that variable",
        )
