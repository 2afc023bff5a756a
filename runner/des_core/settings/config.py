"""Settings: every key of the configuration file, validated and frozen.

`config_file` reads them from YAML and environment; past this boundary nothing sees a loose
dictionary.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from des_core.basics.identifiers import TableName, parse_table
from des_core.basics.object_config import ObjectStoreConfig
from des_core.basics.timestamps import parse_stored, require_range
from des_core.packer_planner import ALREADY_COMPRESSED, MIB, PackerConfig


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004 - pydantic reads ValueError
    return value


def _zone_name(value: str) -> str:
    if value.upper() != "UTC":
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("not a time zone of the tz database, e.g. Europe/Warsaw") from exc
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError("a time is wanted, like 2024-11-01T00:00:00Z")  # noqa: TRY004
    return require_range(parse_stored(value))


def _duration_s(value: Any) -> Any:
    """Seconds, from a number or from `500ms`, `2s`, `5min`, `1h`."""
    if not isinstance(value, str):
        return value
    for unit, factor in (("ms", 0.001), ("min", 60.0), ("h", 3600.0), ("s", 1.0)):
        if value.strip().endswith(unit):
            return float(value.strip().removesuffix(unit)) * factor
    return value


Whole = Annotated[int, BeforeValidator(_reject_bool)]
Seconds = Annotated[float, BeforeValidator(_duration_s), Field(gt=0, le=86_400)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
ColumnName = Annotated[str, Field(min_length=1, max_length=256)]


class Section(BaseModel):
    """Frozen, and strict about unknown keys; input is never echoed in an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )


class DatabaseSettings(Section):
    """Where the rows of `files` are. Times without a zone mean `timezone`."""

    url: SecretStr
    table_name: Annotated[str, Field(min_length=1)] = "files"
    schema_name: str | None = Field(default=None, alias="schema")
    uid_column: ColumnName = "uid"
    created_at_column: ColumnName = "created_at"
    location_column: ColumnName = "file_location"
    size_column: ColumnName | None = "size_bytes"
    archived_column: ColumnName | None = "archived"
    timezone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    lag_days: Annotated[Whole, Field(ge=0, le=36_500)] = 7
    page_size: Annotated[Whole, Field(ge=1, le=1_000_000)] = 10_000
    shard_id: Annotated[Whole, Field(ge=0)] | None = None
    shards_total: Annotated[Whole, Field(ge=1, le=65_536)] | None = None

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
    codec: Literal["zstd", "none"] = "zstd"
    level: Annotated[Whole, Field(ge=1, le=19)] = 3


class ObjectStoreSettings(Section):
    """How to reach an object store, where the environment does not say. Sizes in bytes."""

    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False
    virtual_hosted: bool = False
    requests_in_flight: Annotated[Whole, Field(ge=1, le=1024)] = 64
    timeout: Seconds = 30.0
    retry_for: Seconds = 120.0
    single_put: Annotated[Whole, Field(ge=0, le=5 << 30)] = 64 * MIB

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

    output_dir: Annotated[str, Field(min_length=1)]
    max_shard_size: Annotated[Whole, Field(ge=1 << 16)] = 1_000_000_000
    n_bits: Annotated[Whole, Field(ge=4, le=16)] = 8
    compression: CompressionSettings = CompressionSettings()
    workers: Annotated[Whole, Field(ge=1, le=256)] | None = None
    engine: Literal["local", "dask"] = "local"
    scheduler: Annotated[str, Field(min_length=1)] | None = None
    read_concurrency: Annotated[Whole, Field(ge=1, le=1024)] = 64
    source_roots: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    scratch_dir: str | None = None
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    big_file_threshold: Annotated[Whole, Field(ge=1)] = 10 * MIB
    skip_extensions: frozenset[str] = ALREADY_COMPRESSED

    @model_validator(mode="after")
    def _check(self) -> PackerSettings:
        if self.engine == "dask" and self.scheduler is None:
            raise ValueError("packer.engine dask needs packer.scheduler, like tcp://host:8786")
        return self

    def to_config(self) -> PackerConfig:
        """The same as the packer wants it."""
        return PackerConfig(
            output_dir=self.output_dir,
            n_bits=self.n_bits,
            max_shard_size=self.max_shard_size,
            codec=self.compression.codec if self.compression.enabled else "none",
            level=self.compression.level,
            big_file_threshold=self.big_file_threshold,
            skip_extensions=self.skip_extensions,
            source_roots=self.source_roots,
            workers=self.workers,
            read_concurrency=self.read_concurrency,
            scratch_dir=self.scratch_dir,
            object_store=self.object_store.to_config(),
            scheduler=self.scheduler if self.engine == "dask" else None,
        )


class WatermarkSettings(Section):
    """Where the watermark lives, and how a cycle is cut into slices."""

    config_db_url: SecretStr | None = None
    default_archived_until: Moment | None = None
    slice: Literal["day", "hour", "cycle"] = "day"
    recheck_days: Annotated[Whole, Field(ge=0, le=3650)] = 3


class MigrationSettings(Section):
    """Manners towards live writers, and the limits at which a job stops instead of going on."""

    lock_timeout: Seconds = 1.0
    delete_source_files: bool = False
    grace_days: Annotated[Whole, Field(ge=0)] = 30
    max_failures: Annotated[Whole, Field(ge=0)] = 100_000
    max_failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_captured: Annotated[Whole, Field(ge=0)] = 100_000


class MetricsSettings(Section):
    """The /metrics endpoint, and where a short job leaves its metrics when it ends."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 9090
    path: Annotated[str, Field(pattern=r"^/[\w./-]*$")] = "/metrics"
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_client_ca_file: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    textfile: str | None = None
    pushgateway_url: SecretStr | None = None

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
    """Where backups lie and how fresh the drop gate wants one.

    `scratch_url` names a server of the same kind on which `backup check --deep` may make and drop
    databases; without it, it does so on the server that was backed up.
    """

    dir: str | None = None
    scratch_url: SecretStr | None = None
    max_age_hours: Annotated[float, Field(gt=0)] = 24.0


class LoggingSettings(Section):
    """Where the log goes; None is stderr."""

    file: str | None = None
    format: Literal["text", "keyvalue", "json"] = "text"


class Settings(Section):
    """The whole configuration."""

    database: DatabaseSettings
    packer: PackerSettings
    watermark: WatermarkSettings = WatermarkSettings()
    migration: MigrationSettings = MigrationSettings()
    metrics: MetricsSettings = MetricsSettings()
    backup: BackupSettings = BackupSettings()
    logging: LoggingSettings = LoggingSettings()

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

    @property
    def source_url(self) -> str:
        """The URL of the database that holds `files`; a secret."""
        return self.database.url.get_secret_value()

    @property
    def config_url(self) -> str:
        """The URL of the database that holds the watermark; a secret."""
        url = self.watermark.config_db_url
        return self.source_url if url is None else url.get_secret_value()
