"""Settings: every key of the configuration file, validated and frozen.

`config_file` reads them from YAML and environment; past this boundary nothing sees a loose
dictionary. The text below each key is its line in docs/configuration.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from des_core.basics.database_urls import sqlite_file
from des_core.basics.identifiers import TableName, parse_table
from des_core.basics.object_config import ObjectStoreConfig, is_object_url
from des_core.basics.own_places import require_apart
from des_core.packer_planner import ALREADY_COMPRESSED, MIB, PackerConfig
from des_core.settings.values import (
    ColumnName,
    Moment,
    Place,
    Seconds,
    Section,
    Whole,
    ZoneName,
)


class DatabaseSettings(Section):
    """Where the rows of `files` are. Times without a zone mean `timezone`."""

    url: SecretStr
    """URL of the database that holds `files`: `postgresql://`, `mysql://`, `mariadb://` or
    `sqlite:////file`; of the primary, since a replica is refused. Take the password from the
    environment: `postgresql://${DB_USER}:${DB_PASSWORD}@db.example.org:5432/archive_db`."""
    table_name: Annotated[str, Field(min_length=1)] = "files"
    """The table with one row per stored file, as `files` or `schema.files`."""
    schema_name: str | None = Field(default=None, alias="schema")
    """The schema of the table. Set it if several schemas have a table of that name."""
    uid_column: ColumnName = "uid"
    """The column with the file's uid: text, integer or uuid."""
    created_at_column: ColumnName = "created_at"
    """The column with the time that decides about the window of a row."""
    location_column: ColumnName = "file_location"
    """The column with the path or the object URL of the content."""
    size_column: ColumnName | None = "size_bytes"
    """The column with the size in bytes; `null` if the table has none."""
    archived_column: ColumnName | None = "archived"
    """The per-record flag; `null` if the table has none."""
    timezone: ZoneName = "UTC"
    """What a `created_at` without a zone means. Example: `Europe/Warsaw`."""
    lag_days: Annotated[Whole, Field(ge=0, le=36_500)] = 7
    """A file is packed when it is older than this number of days. The key is used for the first
    watermark only. After the cutover the value in the database counts: change it with
    `des-admin watermark lag`."""
    page_size: Annotated[Whole, Field(ge=1, le=1_000_000)] = 10_000
    """Rows read at once. Lower it if rows are very long."""
    shard_id: Annotated[Whole, Field(ge=0)] | None = None
    """The index of this sharded worker, from 0. An Indexed Job of Kubernetes sets it through
    `JOB_COMPLETION_INDEX`."""
    shards_total: Annotated[Whole, Field(ge=1, le=65_536)] | None = None
    """How many sharded workers share the buckets. All of them need the same value."""

    @model_validator(mode="after")
    def _check(self) -> DatabaseSettings:
        parse_table(self.table_name, self.schema_name)
        if self.shard_id is not None and self.shard_id >= (self.shards_total or 1):
            raise ValueError("shard_id must be below shards_total")
        return self

    @property
    def table(self) -> TableName:
        return parse_table(self.table_name, self.schema_name)

    @property
    def zone(self) -> tzinfo:
        return UTC if self.timezone.upper() == "UTC" else ZoneInfo(self.timezone)


class CompressionSettings(Section):
    """How payloads are stored."""

    enabled: bool = True
    """Whether content is compressed at all."""
    codec: Literal["zstd", "none"] = "zstd"
    """How content is compressed. Shards with lz4 are read, but not written."""
    level: Annotated[Whole, Field(ge=1, le=19)] = 3
    """The zstd level. Higher is smaller and slower: `des-admin plan compression` tries them."""
    dictionary: bool = False
    """Whether the small files of a slice are compressed with what they have in common: JSON,
    mails and logs take half as much or less. Only readers that know dictionaries can read such
    shards; `_dictionaries/` belongs to the archive."""


class ObjectStoreSettings(Section):
    """How to reach an object store, if the environment does not name it. Sizes in bytes."""

    endpoint: Place | None = None
    """URL of the object store, if it is not the provider's own. Example:
    `https://minio.example.org`."""
    region: str | None = None
    """The region, if the environment does not name it."""
    allow_http: bool = False
    """Whether an endpoint without TLS may be used."""
    virtual_hosted: bool = False
    """Whether the bucket is part of the host name."""
    requests_in_flight: Annotated[Whole, Field(ge=1, le=1024)] = 64
    """Requests at once for each worker process."""
    timeout: Seconds = 30.0
    """When a single request is given up."""
    retry_for: Seconds = 120.0
    """How long a request is tried again before the run ends with exit code 10."""
    single_put: Annotated[Whole, Field(ge=0, le=5 << 30)] = 64 * MIB
    """Bytes up to which an object is written with one request; larger ones go up in parts."""

    def to_config(self) -> ObjectStoreConfig:
        """The same as the packer wants it."""
        return ObjectStoreConfig(
            endpoint=self.endpoint,
            region=self.region,
            allow_http=self.allow_http,
            virtual_hosted=self.virtual_hosted,
            requests_in_flight=self.requests_in_flight,
            timeout_s=self.timeout,
            retry_for_s=self.retry_for,
            single_put_bytes=self.single_put,
        )


class PackerSettings(Section):
    """What a shard is made like, and where it goes. Sizes in bytes.

    `output_dir` may be a URL like `s3://bucket/prefix`, and so may source roots.
    """

    output_dir: Place
    """Where shards go: one file system with room for the archive, or `s3://bucket/prefix`."""
    max_shard_size: Annotated[Whole, Field(ge=1 << 16)] = 1_000_000_000
    """Bytes after which a shard is closed and the next part begins."""
    n_bits: Annotated[Whole, Field(ge=4, le=16)] = 8
    """There are `2**n_bits` buckets, so up to that many shards a day. It cannot be changed after
    the first cycle."""
    compression: CompressionSettings = CompressionSettings()
    workers: Annotated[Whole, Field(ge=1, le=256)] | None = None
    """Worker processes; `null` is one for each core, and none for a slice of at most 500 files."""
    engine: Literal["local", "dask"] = "local"
    """`dask` packs on the workers of a Dask cluster instead of local processes."""
    scheduler: Place | None = None
    """Address of the Dask scheduler. Example: `tls://scheduler:8786`."""
    scheduler_without_tls: bool = False
    """Allow a scheduler on another machine without TLS: whoever reaches that network may run code
    as the runner."""
    read_concurrency: Annotated[Whole, Field(ge=1, le=1024)] = 64
    """Reads at once for each worker if the sources are slow. Raise it for network file systems and
    object stores."""
    source_roots: tuple[Place, ...] = ()
    """Directories, or URLs of buckets, below which locations may be opened. It is required if the
    runner is root, and before sources may be deleted; `["/"]` is the whole machine, without
    buckets."""
    adoption_check: Literal["all", "sample"] = "all"
    """Of how many files of a shard that the ledger does not know, left by a run that was cut off,
    the source is compared before the shard is recorded."""
    scratch_dir: str | None = None
    """Where drafts lie on their way to a bucket; `null` is the system's temporary directory."""
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    big_file_threshold: Annotated[Whole, Field(ge=1)] = 10 * MIB
    """Bytes above which content is stored as a file of its own below `_bigFiles/`."""
    skip_extensions: frozenset[str] = ALREADY_COMPRESSED
    """Extensions whose content is stored as it is, because it is compressed already."""

    @model_validator(mode="after")
    def _check(self) -> PackerSettings:
        if self.engine == "dask" and self.scheduler is None:
            raise ValueError("packer.engine dask needs packer.scheduler, like tls://host:8786")
        return self

    def to_config(self) -> PackerConfig:
        """The same as the packer wants it."""
        return PackerConfig(
            output_dir=self.output_dir,
            n_bits=self.n_bits,
            max_shard_size=self.max_shard_size,
            codec=self.compression.codec if self.compression.enabled else "none",
            level=self.compression.level,
            dictionary=self.compression.enabled and self.compression.dictionary,
            big_file_threshold=self.big_file_threshold,
            skip_extensions=self.skip_extensions,
            source_roots=self.source_roots,
            workers=self.workers,
            read_concurrency=self.read_concurrency,
            adoption_check=self.adoption_check,
            scratch_dir=self.scratch_dir,
            object_store=self.object_store.to_config(),
            scheduler=self.scheduler if self.engine == "dask" else None,
            scheduler_without_tls=self.scheduler_without_tls,
        )


class WatermarkSettings(Section):
    """Where the watermark lives, and how a cycle is cut into slices."""

    config_db_url: SecretStr | None = None
    """URL of the config database, which holds the watermark and the ledger. If it is not set, they
    are in `database.url`."""
    default_archived_until: Moment | None = None
    """The first watermark if nothing is archived yet. It is lowered to stay below the oldest
    row."""
    slice: Literal["day", "hour", "cycle"] = "day"
    """What is packed and committed as one unit. Choose `hour` if a day has more than some millions
    of files."""
    recheck_days: Annotated[Whole, Field(ge=0, le=3650)] = 3
    """How many days below the watermark each cycle searches for late rows; 0 searches none."""


class MigrationSettings(Section):
    """Manners towards live writers, and the limits at which a job stops instead of going on."""

    url: SecretStr | None = None
    """The database of `database.url` past a pooler such as PgBouncer: migrations and backups need
    a session of their own. `null` is `database.url`."""
    lock_timeout: Seconds = 1.0
    """How long a live writer may have to wait for a statement of ours."""
    delete_source_files: bool = False
    """Whether `des-admin sources delete` may delete source files. It cannot be undone."""
    grace_days: Annotated[Whole, Field(ge=0)] = 30
    """Days after packing before the source of a file may be deleted."""
    max_failures: Annotated[Whole, Field(ge=0)] = 100_000
    """Failed files of a slice at which the cycle is refused."""
    max_failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of failed files at which the cycle is refused."""
    max_captured: Annotated[Whole, Field(ge=0)] = 100_000
    """Rows that one step may turn into exceptions: at the first watermark, at edits, at the
    recheck."""
    new_exceptions_exit_code: Annotated[Whole, Field(ge=0, le=3, multiple_of=3)] = 3
    """Exit code of a cycle that is done, with files that became exceptions: 3, or 0 for a scheduler
    that takes all else for a failure. `DesExceptionsGrowing` and `doctor` tell of them still."""


class MetricsSettings(Section):
    """The /metrics endpoint, and where a short job leaves its metrics when it ends."""

    enabled: bool = False
    """Whether the runner serves `/metrics` while it runs."""
    host: str = "127.0.0.1"
    """The address to listen on. Without TLS keep it on loopback or inside the cluster."""
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 9090
    """The port to listen on; 0 takes a free one."""
    path: Annotated[str, Field(pattern=r"^/[\w./-]*$")] = "/metrics"
    """The path of the metrics."""
    tls_cert_file: str | None = None
    """Certificate of the endpoint, PEM. Needs `tls_key_file`."""
    tls_key_file: str | None = None
    """Key of the certificate, PEM."""
    tls_client_ca_file: str | None = None
    """Authority whose client certificates are required, PEM."""
    username: str | None = None
    """User that a scrape must name. Needs `password`."""
    password: SecretStr | None = None
    """Password of that user. Example: `${METRICS_PASSWORD}`."""
    textfile: str | None = None
    """File for the node exporter's textfile collector, written when a run ends."""
    pushgateway_url: SecretStr | None = None
    """Pushgateway to which a run sends its metrics when it ends."""
    runbook_url: Annotated[str, Field(pattern=r"^https?://[\w.-]+[^\s\"'#{}]*$")] | None = None
    """Address of the page to which alerts link, without `#anchor`; `deploy render` wants it.
    Example: `https://runbooks.example.org/des-admin/docs/runbook/alerts.md`."""

    @model_validator(mode="after")
    def _check(self) -> MetricsSettings:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_client_ca_file needs tls_cert_file and tls_key_file")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


class BackupSettings(Section):
    """Where backups lie, and how old the pre-drop checks let one be.

    `scratch_url` names a server of the same kind on which `backup check --deep` may make and drop
    databases; without it, it does so on the server that was backed up.
    """

    dir: str | None = None
    """Where `des-admin backup create` puts backups. Use another disk than the database's."""
    scratch_url: SecretStr | None = None
    """A server of the same kind on which `backup check --deep` may make and drop databases; `null`
    is the server that was backed up."""
    max_age_hours: Annotated[float, Field(gt=0)] = 24.0
    """How old a backup may be when the column `archived` is dropped."""


class LoggingSettings(Section):
    """Where the log goes; None is stderr."""

    file: str | None = None
    """The log file; `null` is standard error. It is opened again on SIGHUP."""
    format: Literal["text", "keyvalue", "json"] = "text"
    """The form of a log line."""


class Settings(Section):
    """The whole configuration."""

    database: DatabaseSettings
    packer: PackerSettings
    watermark: WatermarkSettings = WatermarkSettings()
    migration: MigrationSettings = MigrationSettings()
    metrics: MetricsSettings = MetricsSettings()
    backup: BackupSettings = BackupSettings()
    logging: LoggingSettings = LoggingSettings()
    _files: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.migration.delete_source_files and not self.packer.source_roots:
            raise ValueError("migration.delete_source_files needs packer.source_roots")
        return self

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_sections(cls, tree: Any) -> Any:
        """A section whose keys are all commented out says nothing."""
        if not isinstance(tree, dict):
            return tree
        return {key: value for key, value in tree.items() if value is not None}

    def __eq__(self, other: object) -> bool:
        """Two that say the same are equal, whatever files they were read from."""
        return isinstance(other, Settings) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash((self.source_url, self.packer.output_dir))

    def read_from(self, files: Iterable[str]) -> Settings:
        """The same, which knows the files that it was read from."""
        self._files = tuple(files)
        return self

    @property
    def own_places(self) -> tuple[str, ...]:
        """Files and directories of ours on this machine: no source may be one of them."""
        metrics = self.metrics
        places = [
            *(self.packer.output_dir, self.backup.dir, self.logging.file, metrics.textfile),
            *(metrics.tls_cert_file, metrics.tls_key_file, metrics.tls_client_ca_file),
            *self._files,
        ]
        for url in (self.source_url, self.config_url):
            if file := sqlite_file(url):
                places += [f"{file}{end}" for end in ("", "-wal", "-shm", "-journal")]
        return tuple(dict.fromkeys(place for place in places if place and not is_object_url(place)))

    @property
    def packer_config(self) -> PackerConfig:
        """What the packer wants to know; ConfigError where sources and ours are not apart."""
        config = replace(self.packer.to_config(), own_places=self.own_places)
        require_apart(config.source_roots, config.own_places)
        return config

    @property
    def source_url(self) -> str:
        """The URL of the database that holds `files`; a secret."""
        return self.database.url.get_secret_value()

    @property
    def direct_url(self) -> str:
        """The same database past a pooler, where one is named; a secret."""
        url = self.migration.url
        return self.source_url if url is None else url.get_secret_value()

    @property
    def config_url(self) -> str:
        """The URL of the database that holds the watermark; a secret."""
        url = self.watermark.config_db_url
        return self.source_url if url is None else url.get_secret_value()
