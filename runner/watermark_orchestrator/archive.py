"""An archive that is open for work: source, config database, output, and the rules of packing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from des_core.basics.errors import ConfigError
from des_core.basics.object_config import is_object_url
from des_core.basics.own_places import require_apart
from des_core.database.connections import Database, open_database, wrap_connection
from des_core.database.server_settings import require_primary
from des_core.database_source import SourceDatabaseConfig
from des_core.ledger.archive_table import require_same_table
from des_core.ledger.retired import require_not_retired
from des_core.packer_planner import PackerConfig
from des_core.process.logs import get_logger
from des_core.reading.archive_routing import require_same_routing
from des_core.rows.reader import SourceReader
from des_core.rows.share import Share, share_of
from des_core.settings.config import Settings
from des_core.sources.roots import has_named_roots, require_named_roots
from des_core.storage.directory import Storage, open_storage
from watermark_orchestrator.slices import SliceKind

log = get_logger("archive")


@dataclass(frozen=True)
class CyclePolicy:
    """When a slice ends, when it has failed as a whole instead of file by file, what is rechecked.

    `max_captured` bounds the late rows of one day that become exceptions.
    """

    slice_kind: SliceKind = "day"
    max_failures: int = 100_000
    max_failure_ratio: float = 0.5
    max_captured: int = 100_000
    recheck_days: int = 3
    delete_source_files: bool = False
    grace_days: int = 30

    @classmethod
    def from_settings(cls, settings: Settings) -> CyclePolicy:
        migration = settings.migration
        return cls(
            slice_kind=settings.watermark.slice,
            max_failures=migration.max_failures,
            max_failure_ratio=migration.max_failure_ratio,
            max_captured=migration.max_captured,
            recheck_days=settings.watermark.recheck_days,
            delete_source_files=migration.delete_source_files,
            grace_days=migration.grace_days,
        )


@dataclass(frozen=True)
class Archive:
    """Everything that a cycle works on. `actor` is who it says moved the watermark.

    A script's own code says what is read, so only it `may_lack_roots` as root.
    """

    source: SourceReader
    config: Database
    packer_config: PackerConfig
    policy: CyclePolicy
    actor: str = "runner"
    may_lack_roots: bool = False

    @cached_property
    def storage(self) -> Storage:
        """The output, opened when it is first needed: whoever only asks for numbers needs none."""
        return open_storage(self.packer_config)

    @property
    def share(self) -> Share | None:
        """The buckets of this sharded worker; None for all. ConfigError where it has no index."""
        settings = self.source.settings
        share = share_of(settings.shard_id, settings.shards_total, self.packer_config.n_bits)
        if share is not None and self.policy.delete_source_files:
            raise ConfigError(
                "sharded workers do not delete sources: a late row of another worker may need one",
                hint="set migration.delete_source_files to false, and let a job of its own run "
                "des-admin sources delete",
                key="migration.delete_source_files",
            )
        return share

    def require_named_roots(self) -> None:
        """ConfigError where a job that opens sources is root and no root bounds it."""
        roots = self.packer_config.source_roots
        if not self.may_lack_roots:
            require_named_roots(roots)
        elif not has_named_roots(roots):
            log.warning("any_file_of_the_machine_may_be_packed", set="PackerConfig.source_roots")

    def require_as_begun(self, *, may_lack_output: bool = False) -> None:
        """ConfigError where the configuration is one of another archive: its table, its routing.

        DatabaseUnreachable where the source is a replica: see `require_primary`.

        An output that is not there yet has no manifests; the ledger is asked all the same.
        """
        require_not_retired(self.config)
        require_primary(self.source.database)
        require_same_table(self.source.database, self.source.settings.table, self.config)
        place = self.packer_config.output_dir
        is_absent = may_lack_output and not is_object_url(place) and not Path(place).is_dir()
        storage = None if is_absent else self.storage
        require_same_routing(storage, self.packer_config.n_bits, self.config)


@contextmanager
def open_archive(settings: Settings, *, actor: str = "runner") -> Iterator[Archive]:
    """Open both databases and the output of a configuration; close them at the end.

    `DatabaseUnreachable` for either: a run must not take for lost what it never had.
    """
    source = open_database(settings.source_url)
    config = (
        source if settings.config_url == settings.source_url else open_database(settings.config_url)
    )
    try:
        config.reach()
        reader = SourceReader(source, settings.database)
        packer_config = for_rows_of(reader, settings.packer_config)
        archive = Archive(
            source=reader,
            config=config,
            packer_config=packer_config,
            policy=CyclePolicy.from_settings(settings),
            actor=actor,
        )
        _ = archive.storage  # known early, not when the first shard is written
        yield archive
    finally:
        config.close()
        source.close()


def archive_from_connections(
    source_connection: Any,
    config_connection: Any,
    source_config: SourceDatabaseConfig,
    packer_config: PackerConfig,
) -> Archive:
    """An archive over DB-API connections that somebody else opened and will close."""
    source = wrap_connection(source_connection)
    config = (
        source if config_connection is source_connection else wrap_connection(config_connection)
    )
    reader = SourceReader(source, source_config.to_settings())
    own = (packer_config.output_dir, *packer_config.own_places)
    require_apart(packer_config.source_roots, own)
    packer_config = for_rows_of(reader, replace(packer_config, own_places=own))
    return Archive(
        source=reader,
        config=config,
        packer_config=packer_config,
        policy=CyclePolicy(),
        may_lack_roots=True,
    )


def for_rows_of(reader: SourceReader, config: PackerConfig) -> PackerConfig:
    return replace(config, uids_repeat=not reader.schema.uid_is_unique)
