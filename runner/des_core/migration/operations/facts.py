"""What the conditions of a revision's operations ask: read when it is asked for, or foreseen.

A plan walks the same operations as execution does. Where execution would look at what an earlier
operation has left, the plan foresees it: `after`. A script for a DBA presumes all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from des_core.basics.errors import WrongSchema
from des_core.database.catalog import CREATED_ARCHIVED_INDEX, CREATED_AT_INDEX
from des_core.ledger.jobs import JOB_TABLE, SEED_JOB, Job, read_job
from des_core.migration.base.migration import Migration
from des_core.migration.seed.adoption import missing_steps
from des_core.migration.state.column_definition import ColumnDefinition
from des_core.migration.state.flag_jobs import ROLLBACK_JOB, below_is_true
from des_core.migration.state.tables import (
    CONFIG_TABLE,
    find_created_archived_index,
    find_created_at_index,
    find_index,
    has_table,
    read_archived_column,
)
from des_core.migration.steps.column_look import look_at_column, read_definition
from des_core.migration.steps.partitions import is_partitioned

RETIRED_JOB = "retired"
INDEX_JOB = "created_at_index"
T = TypeVar("T")


class Facts:
    """Each fact is asked of the databases once, unless it is known already."""

    def __init__(self, migration: Migration, known: Mapping[str, Any] | None = None) -> None:
        self.migration = migration
        self._known = dict(known or {})

    def after(self, changes: Mapping[str, Any]) -> Facts:
        """The facts once an operation has made these changes."""
        return Facts(self.migration, {**self._known, **changes})

    def _ask(self, name: str, read: Callable[[Migration], T]) -> T:
        if name not in self._known:
            self._known[name] = read(self.migration)
        found: T = self._known[name]
        return found

    @property
    def has_jobs(self) -> bool:
        """Whether the table of jobs is there."""
        return self._ask("has_jobs", lambda m: has_table(m.config, JOB_TABLE))

    @property
    def has_config_table(self) -> bool:
        """Whether the table of the watermark is there, whoever made it."""
        return self._ask("has_config_table", lambda m: has_table(m.config, CONFIG_TABLE))

    @property
    def lacking(self) -> tuple[str, ...]:
        """The steps that complete a table of the watermark that was made by hand."""
        return self._ask("lacking", _read_lacking)

    @property
    def has_watermark(self) -> bool:
        """Whether its row is there. WrongSchema where there are several, or another id."""
        return self._ask("has_watermark", _read_has_watermark)

    @property
    def is_seeded(self) -> bool:
        """Whether the watermark was seeded by us, exceptions and all."""
        return self._ask("is_seeded", lambda _m: self.has_watermark and self._has_job(SEED_JOB))

    @property
    def was_retired(self) -> bool:
        """Whether an earlier watermark was written into the column."""
        return self._ask("was_retired", lambda _m: self._has_job(RETIRED_JOB))

    @property
    def has_column(self) -> bool:
        """Whether `files` has the column archived."""
        return self._ask("has_column", lambda m: read_archived_column(m) is not None)

    @property
    def column_was(self) -> ColumnDefinition | None:
        """What the column was made of when it was dropped, as long as it is not there as it was."""
        return self._ask("column_was", read_definition)

    @property
    def rows_read_true(self) -> bool:
        """Whether the column came back with TRUE in every row, and flags are to be written."""
        return self._ask("rows_read_true", lambda _m: self.has_column and self._added_true())

    @property
    def default_is_true(self) -> bool:
        """Whether the column that was added still gives TRUE to new rows."""
        return self._ask("default_is_true", self._read_default_is_true)

    @property
    def flags_are_written(self) -> bool:
        """Whether this run has just written the flags."""
        return self._ask("flags_are_written", lambda m: m.formula_written_for is not None)

    @property
    def serves_windows(self) -> bool:
        """Whether a working index serves windows of created_at without the column archived."""
        return self._ask("serves_windows", lambda m: find_created_at_index(m) is not None)

    @property
    def has_created_at_index(self) -> bool:
        """Whether the index of our name on created_at is there, working or not."""
        return self._ask(
            "has_created_at_index", lambda m: find_index(m, CREATED_AT_INDEX) is not None
        )

    @property
    def index_is_ours(self) -> bool:
        """Whether the index on created_at came with the migration."""
        return self._ask("index_is_ours", lambda _m: self._has_job(INDEX_JOB))

    @property
    def serves_packer(self) -> bool:
        """Whether the per-record packer has a working index."""
        return self._ask("serves_packer", lambda m: find_created_archived_index(m) is not None)

    @property
    def has_packer_index(self) -> bool:
        """Whether the per-record packer's index of our name is there, working or not."""
        return self._ask(
            "has_packer_index", lambda m: find_index(m, CREATED_ARCHIVED_INDEX) is not None
        )

    @property
    def is_partitioned(self) -> bool:
        """Whether `files` is made of partitions that are looked after one by one."""
        return self._ask("is_partitioned", is_partitioned)

    def _read_job(self, name: str) -> Job | None:
        """What is remembered now: a table that is only foreseen remembers nothing."""
        config = self.migration.config
        return read_job(config, name) if has_table(config, JOB_TABLE) else None

    def _has_job(self, name: str) -> bool:
        return self._read_job(name) is not None

    def _added_true(self) -> bool:
        job = self._read_job(ROLLBACK_JOB)
        return job is not None and job.is_unfinished and below_is_true(job)

    def _read_default_is_true(self, migration: Migration) -> bool:
        column = look_at_column(migration) if self.rows_read_true else None
        return column is not None and column.default == "TRUE"


def _read_lacking(migration: Migration) -> tuple[str, ...]:
    return tuple(missing_steps(migration)) if has_table(migration.config, CONFIG_TABLE) else ()


def _read_has_watermark(migration: Migration) -> bool:
    if not has_table(migration.config, CONFIG_TABLE):
        return False
    with migration.config.read() as tx:
        ids = [row.id for row in tx.run("migration_hand_made")]
    if ids not in ([], [1]):
        raise WrongSchema(
            "des_archive_config must hold exactly one row, with id 1",
            hint="remove the others after reading them: SELECT * FROM des_archive_config",
            ids=", ".join(map(str, ids)),
        )
    return bool(ids)
