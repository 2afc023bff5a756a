"""One migration: both databases open, what the operator asked for, who asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from des_core.basics.database_urls import is_same_place, parse_url, url_label
from des_core.basics.errors import DesError
from des_core.database.catalog import Catalog
from des_core.database.connections import Database, open_database
from des_core.database.retrying import retry_conflicts
from des_core.database.server_settings import (
    require_direct,
    require_encoding,
    require_primary,
    require_row_log,
)
from des_core.database.transaction import Transaction
from des_core.ledger.archive_table import require_same_table
from des_core.ledger.revisions import Branch
from des_core.locks.lock import Lock, hold_lock
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings

if TYPE_CHECKING:
    from des_core.migration.base.seed_plan import SeedPlan
    from des_core.rows.schema import SourceSchema

DEFAULT_ACTOR = "alembic"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """What the operator asked for beyond the configuration. Times are aware UTC.

    Between chunks of rows: `sleep_s` always; longer while replicas are `max_lag_s` behind (None:
    `throttle.DEFAULT_MAX_LAG_S`, where the server knows), or
    while the number that the query `max_load` returns is above `max_load_limit`. `sessions` write
    flags at once.
    """

    drop_archived: bool = False
    seed_at: datetime | None = None
    backup: str | None = None
    purge: bool = False
    reason: str | None = None
    sleep_s: float = 0.0
    max_lag_s: float | None = None
    max_load: str | None = None
    max_load_limit: float = 0.0
    sessions: int = 1


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened on the way: a step done or skipped, a wait, a chunk of rows."""

    revision: str
    step: str
    text: str
    done_rows: int | None = None
    share: float | None = None
    eta_s: float | None = None
    is_detail: bool = False
    took_s: float | None = None
    is_on_files: bool = False


def ignore_notice(_notice: Notice) -> None:
    """For callers who want only the result."""


@dataclass
class Migration:
    """The two databases may be the same object. `report` hears what happens as it happens.

    `formula_written_for`: the watermark that this run, under its lock, wrote into `archived`, with
    so many `flags_written`. `backup_named`: the backup that the gate relies on.
    """

    settings: Settings
    source: Database
    config: Database
    actor: str = DEFAULT_ACTOR
    options: MigrationOptions = field(default_factory=MigrationOptions)
    report: Callable[[Notice], None] = ignore_notice
    seed_plan: SeedPlan | None = None
    formula_written_for: datetime | None = None
    flags_written: int = 0
    backup_named: str | None = None
    lock: Lock | None = None

    @cached_property
    def reader(self) -> SourceReader:
        """Reads `files`, with the columns of when it was first asked for: see `forget_schema`."""
        return SourceReader(self.source, self.settings.database)

    @property
    def schema(self) -> SourceSchema:
        """The columns of `files`."""
        return self.reader.schema

    @property
    def archived_column(self) -> str:
        """The name of the column archived, which need not be configured once it is gone."""
        return self.settings.database.archived_column or "archived"

    @property
    def source_catalog(self) -> Catalog:
        """Statements on `files`."""
        return self.reader.catalog

    @cached_property
    def config_catalog(self) -> Catalog:
        """Statements on our own tables."""
        return Catalog(self.config.dialect, self.settings.database)

    @property
    def shares_database(self) -> bool:
        """Whether `files` and our tables are in one database, so that one transaction does."""
        return self.source is self.config

    def catalog(self, branch: Branch) -> Catalog:
        """The statements of that database; only the source's knows the columns of `files`."""
        is_config = branch is Branch.CONFIG and not self.shares_database
        return self.config_catalog if is_config else self.source_catalog

    def forget_schema(self) -> None:
        """Look at the columns of `files` again: one was just added or dropped."""
        self.__dict__.pop("reader", None)

    def database(self, branch: Branch) -> Database:
        return self.config if branch is Branch.CONFIG else self.source

    @property
    def held(self) -> Lock:
        """The lock, without which nothing is written."""
        if self.lock is None:
            raise DesError("a migration writes under its lock only")
        return self.lock

    @contextmanager
    def holding(self, purpose: str) -> Iterator[None]:
        """Be the only writer for the length of the block. LockHeld where somebody else is."""
        with hold_lock(self.config, purpose) as self.lock:
            yield
        self.lock = None

    def write(self, work: Callable[[Transaction], T], branch: Branch = Branch.CONFIG) -> T:
        """`work` in one transaction of that database, which proves the lock; it may run again."""
        if self.database(branch) is self.config:
            return self.held.write(work)
        return retry_conflicts(lambda: self.held.write_in(self.source, work))

    def now(self) -> datetime:
        """For what is recorded; what is compared with rows asks the database's clock."""
        return datetime.now(UTC)

    def tell(self, revision: str, step: str, text: str, *, is_detail: bool = False) -> None:
        self.report(Notice(revision, step, text, is_detail=is_detail))


@contextmanager
def open_migration(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    report: Callable[[Notice], None] = ignore_notice,
    only_look: bool = False,
    only_rows: bool = False,
) -> Iterator[Migration]:
    """Both databases, opened for one run and closed at its end; ConfigError for another table.

    Refused where the servers would stop it half-way: see `require_able_servers`. A config database
    in a file is made where it is missing; with `only_look`, an empty one stands in for it instead.
    `only_rows` is for what changes rows in transactions and no schema.
    """
    source = open_database(settings.direct_url)
    with ExitStack() as closing:
        closing.callback(source.close)
        config = source
        if not is_same_place(settings.config_url, settings.source_url):
            config = _open_config(settings.config_url, only_look, closing)
            closing.callback(config.close)
        require_same_table(source, settings.database.table, config)
        if not (only_look or only_rows):
            require_primary(source)
            require_able_servers(source, config)
        yield Migration(settings, source, config, actor, options or MigrationOptions(), report)


def require_able_servers(source: Database, config: Database) -> None:
    """Refused before anything is made where a server takes no schema change or no write of ours."""
    require_direct(source, "a migration")
    require_encoding(source, config)
    for database in (source, config):
        require_row_log(database)


def _open_config(url: str, only_look: bool, closing: ExitStack) -> Database:
    parsed = parse_url(url)
    is_missing = parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists()
    if only_look and is_missing:
        stand_in = closing.enter_context(TemporaryDirectory(prefix="des-admin-"))
        empty = open_database(f"sqlite:///{stand_in}/empty.sqlite", create=True)
        return replace(empty, label=url_label(parsed))
    return open_database(url, create=True)
