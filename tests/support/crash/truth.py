"""What must be true of an archive at rest, checked without the product's own readers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.rows.filesdata import FilesTable
from support.servers.database import TestDatabase
from support.shards.tiny_reader import read_shard


def as_utc(value: Any) -> datetime:
    """A time as any of the drivers returns it."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def read_watermark_value(config: TestDatabase) -> datetime:
    """`archived_until`, aware."""
    return as_utc(config.value("SELECT archived_until FROM des_archive_config WHERE id = 1"))


def read_open_exceptions(config: TestDatabase) -> dict[str, tuple[bool, str]]:
    """uid → (the truth, the reason) of the open exceptions."""
    rows = config.rows(
        "SELECT uid, archived, reason FROM des_archive_exception WHERE resolved_at IS NULL"
    )
    return {uid: (bool(archived), reason) for uid, archived, reason in rows}


def read_archive(output_dir: Path) -> dict[str, list[bytes]]:
    """uid → sha256 of the content of each entry with that uid, over all shards."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(output_dir.glob("*.des")):
        for uid, (content, _) in read_shard(path).items():
            found[uid].append(hashlib.sha256(content).digest())
    return found


def archive_bytes(output_dir: Path) -> dict[str, str]:
    """Relative path → sha256 of every file of the archive; drafts and its mark left out.

    The mark says which archive it is: two that hold the same have marks of their own.
    """
    return {
        str(path.relative_to(output_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output_dir.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name != "_archive.json"
    }


def check_truth(table: FilesTable, config: TestDatabase, output_dir: Path) -> dict[str, str]:
    """Every row is in exactly one truth; returns uid → reason of the open exceptions.

    A row that the formula calls archived is in one shard entry, byte for byte, or was archived
    before the cutover. Every other row is above the watermark or an open exception.
    """
    watermark = read_watermark_value(config)
    exceptions = read_open_exceptions(config)
    archive = read_archive(output_dir)
    before_cutover = table.archived
    for uid, row in table.rows.items():
        exception = exceptions.get(uid)
        is_archived = (row.created_at <= watermark) != (exception is not None)
        if exception is not None:
            assert exception[0] == is_archived, f"{uid}: exception tells another truth"
        entries = archive.get(uid, [])
        assert len(entries) <= 1, f"{uid} is packed {len(entries)} times"
        if is_archived and uid not in before_cutover:
            assert entries == [hashlib.sha256(table.expected_content(uid)).digest()], uid
        elif not is_archived and row.created_at <= watermark:
            assert not entries, f"{uid} is packed and an exception"
    assert set(archive) <= set(table.rows)
    return {uid: reason for uid, (_, reason) in exceptions.items()}
