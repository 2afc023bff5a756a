"""pgBackRest: `info --output=json`, and for L1 the text of `verify`.

Its `verify` ends with exit code 0 on damaged backups (2.45): only its words count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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

TOOL = Tool.PGBACKREST
_VERIFIED = re.compile(r"backup: (?P<label>\S+), status: (?P<status>[^,\n]+)")
_STATUS = re.compile(r"^status: (?P<status>.+)$", re.MULTILINE)


def commands(program: str, stanza: str, options: tuple[str, ...], level: Level) -> list[list[str]]:
    """What to ask, in order."""
    base = [program, *options, f"--stanza={stanza}"]
    asked = [[*base, "info", "--output=json"]]
    if level >= Level.L1:
        asked.append([*base, "verify", "--output=text", "--verbose"])
    return asked


def read(answers: list[str], stanza: str, level: Level) -> ForeignAnswer:
    """The first answer is `info`, the second, if any, `verify`."""
    stanzas = parse_json(TOOL, answers[0])
    found = next((item for item in stanzas if item.get("name") == stanza), None)
    if found is None:
        message = f"pgBackRest knows no stanza {stanza}"
        finding = error(Level.L0, "no_stanza", message, "pgbackrest info")
        return ForeignAnswer((), (finding,))
    backups = tuple(map(_backup, found.get("backup", [])))
    findings = list(_status(found))
    checked: frozenset[Level] = frozenset()
    if len(answers) > 1 and level >= Level.L1:
        newest = max((backup.label for backup in backups), default="")
        findings += _verified(answers[1], newest)
        checked = frozenset((Level.L1,))
    system_ids = tuple(str(db["system-id"]) for db in found.get("db", []) if "system-id" in db)
    return ForeignAnswer(backups, tuple(findings), system_ids[-1:], checked, _details(found))


def _backup(item: Any) -> ForeignBackup:
    problem = "it holds pages with wrong checksums" if item.get("error") else None
    repository = item.get("info", {}).get("repository", {})
    return ForeignBackup(
        label=str(require(item, TOOL, "label")),
        started_at=moment(require(item, TOOL, "timestamp", "start")),
        finished_at=moment(require(item, TOOL, "timestamp", "stop")),
        size_bytes=repository.get("size"),
        problem=problem,
    )


def _status(stanza: Any) -> Iterator[Finding]:
    code = require(stanza, TOOL, "status", "code")
    if code != 0:
        message = f"pgBackRest says of the stanza: {stanza['status'].get('message')}"
        yield error(Level.L0, "tool_says", message, f"pgbackrest --stanza={stanza['name']} check")


def _verified(text: str, newest: str) -> Iterator[Finding]:
    """The newest backup and the WAL must be valid; older damaged ones are the tool's own matter."""
    statuses = {match["label"]: match["status"].strip() for match in _VERIFIED.finditer(text)}
    overall = _STATUS.search(text)
    if newest in statuses and statuses[newest] != "valid":
        message = f"pgbackrest verify: {newest} is {statuses[newest]}"
        yield error(Level.L1, "changed", message, again(TOOL))
    elif overall is None or (newest and newest not in statuses):
        message = "pgbackrest verify did not answer about this backup"
        yield error(Level.L1, "not_verified", message, "pgbackrest verify --output=text --verbose")
    elif overall["status"].strip() != "ok":
        message = f"pgbackrest verify: {overall['status'].strip()}"
        command = "pgbackrest verify --output=text --verbose"
        yield error(Level.L1, "changed", message, command)


def _details(stanza: Any) -> tuple[tuple[str, str], ...]:
    archive = stanza.get("archive") or []
    if not archive:
        return ()
    return (("WAL archived to", str(archive[-1].get("max"))),)
