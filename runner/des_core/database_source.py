"""`SourceDatabaseConfig`, for scripts that bring their own connections."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from des_core.settings.config import DatabaseSettings


@dataclass(frozen=True)
class SourceDatabaseConfig:
    """Where the rows are: for scripts that bring their own connections.

    `dsn` is only named in messages when a connection is handed in. `lag_days` here is the one of
    a first run; the watermark's row has the one that counts.
    """

    dsn: str
    table_name: str = "files"
    uid_column: str = "uid"
    created_at_column: str = "created_at"
    location_column: str = "file_location"
    size_column: str | None = "size_bytes"
    archived_column: str | None = "archived"
    lag_days: int = 7
    page_size: int = 10_000
    timezone: str = "UTC"
    schema: str | None = None
    shard_id: int | None = None
    shards_total: int | None = None

    def to_settings(self) -> DatabaseSettings:
        """The same as validated settings."""
        return DatabaseSettings(
            url=SecretStr(self.dsn),
            table_name=self.table_name,
            schema=self.schema,
            uid_column=self.uid_column,
            created_at_column=self.created_at_column,
            location_column=self.location_column,
            size_column=self.size_column,
            archived_column=self.archived_column,
            lag_days=self.lag_days,
            page_size=self.page_size,
            timezone=self.timezone,
            shard_id=self.shard_id,
            shards_total=self.shards_total,
        )
