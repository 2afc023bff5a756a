"""What is known of the audit trail outside of it: beside the manifests, and by an auditor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from des_admin.context import Context

if TYPE_CHECKING:
    from des_core.ledger.events import Head


def print_head(context: Context, head: Head | None) -> None:
    """The head alone, to be kept elsewhere."""
    payload = None if head is None else {"event_id": head.event_id, "hash": head.hash}
    context.emit(
        "trail-head", {"head": payload}, lambda out: out.print(str(head or ""), highlight=False)
    )


def kept_elsewhere(context: Context, expected: Sequence[str]) -> list[Head]:
    """The heads that the output directory keeps, and those named; StorageError without it."""
    from des_core.ledger.events import parse_head
    from des_core.ledger.trail_heads import kept_heads
    from des_core.storage.directory import open_storage

    named = [parse_head(text, "--expect") for text in expected]
    return [*kept_heads(open_storage(context.settings.packer.to_config())), *named]
