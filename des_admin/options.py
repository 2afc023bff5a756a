"""The options that every command understands, wherever in the line they stand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class OutputMode(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True)
class GlobalOptions:
    """What stands before, or after, the name of the command."""

    config: Path | None = None
    profile: str | None = None
    output: OutputMode = OutputMode.TABLE
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False

    @property
    def wants_json(self) -> bool:
        return self.output is OutputMode.JSON
