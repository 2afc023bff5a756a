"""WAL-G: `backup-list --detail --json`, of PostgreSQL and of MySQL. It cannot verify a backup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from des_core.backup.findings import Level
from des_core.backup.foreign.answer import ForeignAnswer, ForeignBackup, Tool, parse_json, require
from des_core.backup.foreign.conversation import Conversation
from des_core.basics.errors import UsageError

TOOL = Tool.WAL_G
_RFC3339 = re.compile(r"(?P<stem>[\d-]+T[\d:]+)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)")


def recognise(_text: str, _name: str) -> str:
    """There is one answer only. Which storage is meant, the tool's own configuration says."""
    return "backup-list"


def read(conversation: Conversation, _name: str, _level: Level) -> ForeignAnswer:
    """A list of backups; null where there is none."""
    text = conversation.ask("backup-list", "backup-list", "--detail", "--json")
    items = parse_json(TOOL, text or "null") or []
    backups = tuple(map(_backup, items))
    newest: Any = max(items, key=_started, default={})
    identifier = newest.get("system_identifier")
    return ForeignAnswer(backups, system_ids=() if not identifier else (str(identifier),))


def _backup(item: Any) -> ForeignBackup:
    finished = item.get("finish_time") or item.get("stop_local_time")
    size = item.get("compressed_size")
    return ForeignBackup(
        label=str(require(item, TOOL, "backup_name")),
        started_at=_started(item),
        finished_at=None if finished is None else _time(finished),
        size_bytes=int(size) if size else None,
    )


def _started(item: Any) -> datetime:
    keys = ("start_time", "start_local_time", "time", "modify_time")
    text = next((item[key] for key in keys if item.get(key)), None)
    if text is None:
        raise UsageError(
            "the answer of wal-g has no start time", hint="ask with --detail: wal-g backup-list"
        )
    return _time(text)


def _time(text: str) -> datetime:
    """RFC 3339 as Go writes it: any number of digits after the point, up to nine."""
    match = _RFC3339.fullmatch(str(text))
    if match is None:
        raise UsageError("wal-g gave a time that is not understood", time=str(text))
    fraction = (match["fraction"] or "")[:6].ljust(6, "0")
    moment = datetime.fromisoformat(f"{match['stem']}.{fraction}{match['zone']}")
    return moment.astimezone(UTC)
