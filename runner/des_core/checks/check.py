"""One question and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`failed` makes doctor end with exit code 4; a warning does not."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is stable, for programs; `hint` is the next command to type."""

    name: str
    status: Status
    detail: str
    hint: str | None = None


def ok(name: str, detail: str) -> Check:
    return Check(name, Status.OK, detail)


def warning(name: str, detail: str, hint: str) -> Check:
    return Check(name, Status.WARNING, detail, hint)


def failed(name: str, detail: str, hint: str) -> Check:
    return Check(name, Status.FAILED, detail, hint)


def skipped(name: str, detail: str) -> Check:
    return Check(name, Status.SKIPPED, detail)
