"""Who works on an archive, and in which of its databases."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Who works on an archive: packs it, migrates and corrects it, or only looks."""

    RUNNER = "runner"
    ADMIN = "admin"
    EXPORTER = "exporter"


class Place(StrEnum):
    """Which database a script is for: the one with `files`, or the one with the ledger."""

    SOURCE = "source"
    CONFIG = "config"
