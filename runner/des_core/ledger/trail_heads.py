"""Heads of the audit trail beside the manifests: the database cannot forget what they say.

One empty name each, `trail_EVENT_HASH.json`: written once and never replaced, read by listing.
"""

from __future__ import annotations

import re

from des_core.ledger.events import Head
from des_core.storage.directory import Storage
from des_core.storage.layout import MANIFESTS_DIR
from des_core.storage.small_files import publish_unless_taken

_NAME = re.compile(r"trail_([0-9]{12,18})_([0-9a-f]{64})\.json")


def keep_head(storage: Storage, head: Head) -> None:
    """Write it down, durably, unless it is there. StorageError if that fails."""
    name = f"{MANIFESTS_DIR}/trail_{head.event_id:012d}_{head.hash}.json"
    if storage.exists(name):
        return
    publish_unless_taken(storage, name, f'{{"format":"des trail head","head":"{head}"}}\n'.encode())
    storage.sync_directory(MANIFESTS_DIR)


def kept_heads(storage: Storage) -> list[Head]:
    """All of them, oldest first."""
    names = sorted(storage.list_names(MANIFESTS_DIR))
    return [
        Head(int(match[1]), match[2], f"{MANIFESTS_DIR}/{name}")
        for name in names
        if (match := _NAME.fullmatch(name))
    ]
