"""What `init` asks, and how the answers become a database URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from des_admin.context import Context
from des_core.basics.errors import UsageError

_PORTS = {"postgresql": "5432", "mysql": "3306", "mariadb": "3306"}
_SCHEMES = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
# What people call them.
_ALIASES = {
    **dict.fromkeys(("postgres", "pg", "pgsql", "psql", "postgresql+psycopg"), "postgresql"),
    **dict.fromkeys(("my", "mysql+pymysql"), "mysql"),
    **dict.fromkeys(("maria", "maria-db"), "mariadb"),
    **dict.fromkeys(("sqlite3", "lite"), "sqlite"),
}


@dataclass(frozen=True)
class Answers:
    """What the file is made of; None is not answered yet (`config_url`: the same database)."""

    url: str | None = None
    config_url: str | None = None
    table: str | None = None
    output_dir: str | None = None
    source_roots: tuple[str, ...] = ()
    lag_days: int | None = None


class Questions:
    """The dialogue. What was answered is what Enter answers the next time round."""

    def __init__(self, context: Context, options: Answers) -> None:
        self._context, self._options = context, options
        self._kept: dict[str, str] = {}

    @property
    def are_asked(self) -> bool:
        """Whether an option is missing that only a person can say."""
        return self._options.url is None or self._options.output_dir is None

    def answers(self) -> Answers:
        """Complete answers: asked for on a terminal, defaults or UsageError elsewhere."""
        answers = self._options
        if self.are_asked:
            if not self._context.prompts.somebody_is_there:
                raise UsageError(
                    "there is no terminal to ask on",
                    hint="give at least --url and --output-dir; see: des-admin init --help",
                )
            answers = self._ask_all()
        for url in (answers.url, answers.config_url):
            if url is not None:
                _require_no_secret(url)
        return replace(
            answers,
            table=answers.table or "files",
            lag_days=7 if answers.lag_days is None else answers.lag_days,
        )

    def write_untried(self, problem: str) -> bool:
        """After a trial that failed: True to write what there is, False to answer again."""
        self._context.say(f"error: {problem}", style="red")
        self._context.say("Enter keeps an answer; w writes the file as it is, untried.")
        return self._context.prompts.ask("Answer again, or w", "again").lower() in {"w", "write"}

    def _ask_all(self) -> Answers:
        given = self._options
        url = given.url or self._ask_url()
        table = given.table or self._ask("Table with one row per file", "files")
        output = given.output_dir or self._ask("Directory for the shards", "/mnt/des/output")
        roots = given.source_roots
        if not roots:
            question = (
                "Directories that hold the source files, with commas between them (/: anywhere)"
            )
            roots = _parts(self._ask(question, "", lambda text: bool(_parts(text))))
        lag = given.lag_days
        if lag is None:
            lag = int(self._ask("Pack files older than how many days", "7", _is_number))
        return replace(
            given, url=url, table=table, output_dir=output, source_roots=roots, lag_days=lag
        )

    def _ask_url(self) -> str:
        question = "Database: postgresql, mysql, mariadb or sqlite"
        kind = _kind(self._ask(question, "postgresql", lambda text: _kind(text) is not None))
        if kind is None or kind == "sqlite":
            return f"sqlite:///{Path(self._ask('Path of the database file', '', bool)).absolute()}"
        host = self._ask("Host", "localhost")
        port = self._ask("Port", _PORTS[kind], _is_number)
        name = self._ask("Name of the database", "archive_db")
        user = self._ask("User", "archive")
        variable = self._ask("Environment variable that holds the password", "DB_PASSWORD")
        login = f"{quote(user, safe='')}:${{{variable}}}" if variable else quote(user, safe="")
        return f"{_SCHEMES[kind]}://{login}@{host}:{port}/{quote(name, safe='')}"

    def _ask(
        self, question: str, default: str = "", accepted: Callable[[str], bool] = lambda _: True
    ) -> str:
        """Asked until the answer is an accepted one, which is kept."""
        default = self._kept.get(question, default)
        while not accepted(answer := self._context.prompts.ask(question, default)):
            pass
        self._kept[question] = answer
        return answer


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _kind(text: str) -> str | None:
    """The kind of database that somebody means."""
    text = text.lower()
    kind = _ALIASES.get(text, text)
    return kind if kind in (*_PORTS, "sqlite") else None


def _require_no_secret(url: str) -> None:
    """UsageError where a URL holds a password in plain text."""
    from des_core.basics.database_urls import parse_url

    password = parse_url(url).password
    if password and "${" not in str(password):
        raise UsageError(
            "a password must not stand in the file or on the command line",
            hint="write ${DB_PASSWORD} in its place and set that variable",
        )
