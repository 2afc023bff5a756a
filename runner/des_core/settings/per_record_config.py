"""The configuration of per-record mode: the older file's keys, or the file of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from des_core.basics.errors import ConfigError
from des_core.settings.config import Settings
from des_core.settings.config_file import load_settings

DEFAULT_BATCH_SIZE = 1000
_RENAMED = {"file_location_column": "location_column", "size_bytes_column": "size_column"}


@dataclass(frozen=True)
class PerRecordSettings:
    """The settings, and the two that only this way has."""

    settings: Settings
    older_than_days: int
    batch_size: int


def load_per_record_settings(path: Path, *, env: Mapping[str, str]) -> PerRecordSettings:
    """Read the older file: `file_location_column`, `size_bytes_column`, `archive_age_days`,
    `batch_size`; or one of today, where lag_days is the age. ConfigError as for any other."""
    only_here: dict[str, int] = {}

    def adapt(tree: dict[str, Any]) -> None:
        database, migration = _section(tree, "database"), _section(tree, "migration")
        for old, new in _RENAMED.items():
            if old not in database:
                continue
            if new in database:
                raise ConfigError(
                    f"{old} is the older name of {new}: keep one", file=str(path), key="database"
                )
            database[new] = database.pop(old)
        for key in ("archive_age_days", "batch_size"):
            if key in migration:
                only_here[key] = _whole(migration.pop(key), path, f"migration.{key}")

    settings = load_settings(path, env=env, adapt=adapt).settings
    return PerRecordSettings(
        settings,
        older_than_days=only_here.get("archive_age_days", settings.database.lag_days),
        batch_size=only_here.get("batch_size", DEFAULT_BATCH_SIZE) or 1,
    )


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def _whole(value: object, path: Path, key: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise ConfigError("wrong value: a whole number is wanted", file=str(path), key=key)
    return int(text)
