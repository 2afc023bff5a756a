"""The options that every command understands, wherever in the line they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path

from des_core.basics.durations import parse_seconds
from des_core.basics.errors import UsageError

# No amount, rate or price of an estimate is larger.
MOST = 1e18


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


def require_numbers(options: Mapping[str, object]) -> None:
    """UsageError for `nan`, which no range refuses, for infinity, and for what leads there."""
    for name, value in options.items():
        if isinstance(value, int | float) and not abs(value) <= MOST:
            raise UsageError(f"--{name.replace('_', '-')}: not a number to reckon with")
