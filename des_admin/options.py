"""The options that every command understands, wherever in the line they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path

from des_core.basics.durations import parse_seconds


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


def seconds(least: float, most: float = inf) -> Callable[[str | float], float]:
    """What reads an option that is a length of time, or a bare number of seconds."""

    def read(value: str | float) -> float:
        length_s = parse_seconds(str(value))
        if not least <= length_s <= most:
            limit = f"{least:g} s or more" if most == inf else f"{least:g} to {most:g} s"
            raise ValueError(f"{value} is not in the range: {limit}")
        return length_s

    return read
