"""Barman: `check`, `show-backup`, `show-server`; for L1 and L2 `verify-backup`; all as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from des_core.backup.findings import Finding, Level
from des_core.backup.foreign.answer import (
    ForeignAnswer,
    ForeignBackup,
    Tool,
    again,
    error,
    moment,
    parse_json,
    require,
)

TOOL = Tool.BARMAN
_ID_KEYS = ("system_id", "systemid", "postgres_systemid", "streaming_systemid")


def commands(program: str, server: str, options: tuple[str, ...], level: Level) -> list[list[str]]:
    """What to ask, in order."""
    base = [program, *options, "-f", "json"]
    asked = [[*base, "check", server], [*base, "show-server", server]]
    asked.append([*base, "show-backup", server, "latest"])
    if level >= Level.L1:
        asked.append([*base, "verify-backup", server, "latest"])
    return asked


def read(answers: list[str], server: str, level: Level) -> ForeignAnswer:
    """Answers in any order; each is known by its shape."""
    backups: list[ForeignBackup] = []
    findings: list[Finding] = []
    identifiers: list[str] = []
    checked: frozenset[Level] = frozenset()
    for tree in (parse_json(TOOL, text) for text in answers):
        about = tree.get(server) if isinstance(tree, dict) else None
        if about is None:
            is_verified, found = _messages(tree)
            findings += found
            checked |= frozenset((Level.L1, Level.L2)) if is_verified else frozenset()
        elif "backup_id" in about:
            backups.append(_backup(about))
            identifiers += _identifiers(about)
        elif "postgresql" in about or "directories" in about:
            findings += _checks(about, server)
        else:
            identifiers += _identifiers(about)
    return ForeignAnswer(
        tuple(backups), tuple(findings), tuple(dict.fromkeys(identifiers)), checked
    )


def _backup(tree: Any) -> ForeignBackup:
    base = require(tree, TOOL, "base_backup_information")
    status = require(tree, TOOL, "status")
    problem = None if status == "DONE" else f"its status is {status}: {tree.get('error') or ''}"
    sizes = ("backup_size_bytes", "disk_usage_bytes")
    size = next((base[key] for key in sizes if base.get(key) is not None), None)
    return ForeignBackup(
        label=str(tree["backup_id"]),
        started_at=_time(base, "begin"),
        finished_at=_time(base, "end") if base.get("end_time") else None,
        size_bytes=None if size is None else int(size),
        problem=None if problem is None else problem.strip(" :"),
    )


def _time(base: Any, which: str) -> datetime:
    stamp = base.get(f"{which}_time_timestamp")
    if stamp is not None:
        return moment(stamp)
    return datetime.fromisoformat(str(require(base, TOOL, f"{which}_time")))


def _checks(tree: Any, server: str) -> Iterator[Finding]:
    for name, item in tree.items():
        if item.get("status") != "OK":
            hint = f": {item['hint']}" if item.get("hint") else ""
            message = f"barman check: {name.replace('_', ' ')} {item.get('status')}{hint}"
            yield error(Level.L0, "tool_says", message, f"barman check {server}")


def _messages(tree: Any) -> tuple[bool, list[Finding]]:
    """Whether this is the answer of verify-backup, and what it, or a refusal, says."""
    words = tree if isinstance(tree, dict) else {}
    said = " ".join(map(str, words.get("_INFO", [])))
    complaints = [" ".join(str(line).split()) for line in words.get("_ERROR", [])]
    is_verify = "Verifying backup" in said
    if not is_verify and not complaints:
        complaints = ["barman gave an answer that is not understood"]
    level = Level.L1 if is_verify else Level.L0
    code = "changed" if is_verify else "tool_says"
    return is_verify, [error(level, code, line, again(TOOL)) for line in complaints]


def _identifiers(tree: Any) -> list[str]:
    return [str(tree[key]) for key in _ID_KEYS if tree.get(key)]
