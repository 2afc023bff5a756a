"""The JSON contract: one object per command, with the name and version of its shape in `schema`.

docs/json.md lists the shapes. Fields may be added within a version; a field that goes or changes
its meaning makes a new version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from des_core.basics.errors import DesError
from des_core.basics.timestamps import format_utc

PREFIX = "des-admin"


def to_json(command: str, payload: Mapping[str, object], *, version: int = 1) -> str:
    """The envelope: `schema` first, then the fields of the payload."""
    tree = {"schema": f"{PREFIX}/{command}/{version}", **plain(dict(payload))}
    # Not ensure_ascii=False: a lone surrogate in a uid must not make the document invalid.
    return json.dumps(tree, indent=2)


def error_to_json(error: DesError) -> str:
    """What goes to stderr with `--output json`."""
    payload = {
        "kind": type(error).__name__,
        "message": error.message,
        "facts": {key: str(value) for key, value in error.facts.items()},
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }
    return to_json("error", payload)


def plain(value: Any) -> Any:
    """`value` as JSON has it: times as ISO 8601 UTC, durations as seconds, dataclasses as maps."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)
