"""The settings as an operator may see them: every key, its origin, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from des_core.basics.database_urls import parse_url
from des_core.basics.errors import ConfigError
from des_core.settings.config_file import LoadedSettings

MASK = "***"
_SECRET_WORDS = ("pass", "secret", "token", "key")


@dataclass(frozen=True)
class SettingLine:
    """One key: its value with secrets masked, and where it was set (`default` if nowhere)."""

    key: str
    value: Any
    origin: str


def view_settings(loaded: LoadedSettings) -> list[SettingLine]:
    """Every key of the configuration, in the order of the file's sections."""
    return [
        SettingLine(key, value, _origin(loaded, key)) for key, value in _walk(loaded.settings, "")
    ]


def mask_url(text: str) -> str:
    """A database URL whose password, and any option that looks like one, reads `***`."""
    try:
        url = parse_url(text)
    except ConfigError:
        return MASK
    options = {
        name: MASK if any(word in name.lower() for word in _SECRET_WORDS) else value
        for name, value in url.query.items()
    }
    return url.set(query=options).render_as_string(hide_password=True)


def _origin(loaded: LoadedSettings, key: str) -> str:
    while key:
        if key in loaded.origins:
            return loaded.origins[key]
        key = key.rpartition(".")[0]
    return "default"


def _walk(section: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        key = f"{prefix}{field.alias or name}"
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _walk(value, f"{key}.")
        elif isinstance(value, SecretStr):
            yield key, mask_url(value.get_secret_value())
        elif isinstance(value, frozenset):
            yield key, sorted(value)
        else:
            yield key, value
