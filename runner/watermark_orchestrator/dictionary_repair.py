"""Dictionaries restored from their other copy, before a shard is looked at that may need them.

1. The copy is read again: what is sound after all stays.
2. The other copy is read, and compared with the sha256 of its name. If it is not sound either, both
   stay as they are: what needs them is for the shards to say.
3. The bad copy is moved to `_damaged/`, never deleted; the sound one is published under its name.
4. One transaction records it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from des_core.basics.errors import DamagedData, StorageError
from des_core.database.transaction import Transaction
from des_core.ledger.damage import forget_damage
from des_core.ledger.events import record_event
from des_core.reading.verify import ShardVerdict, Verdict, verify_one
from des_core.reading.verify_tasks import Task
from des_core.shard_io.dictionaries import (
    DICTIONARIES_DIR,
    is_dictionary_path,
    other_copy,
    read_copy,
)
from des_core.storage.small_files import publish_bytes
from watermark_orchestrator.run import Run


def restore_dictionaries(run: Run, findings: Iterable[ShardVerdict]) -> tuple[list[str], list[str]]:
    """The copies that were restored, and those that could not be."""
    restored: list[str] = []
    lost: list[str] = []
    for finding in findings:
        if not is_dictionary_path(finding.shard):
            continue
        run.stop.check()
        archive = run.archive
        verdict = verify_one(archive.storage, archive.config, Task(finding.shard, is_known=False))
        if verdict.is_bad:
            (restored if _restore(run, verdict) else lost).append(finding.shard)
    return restored, lost


def _restore(run: Run, verdict: ShardVerdict) -> bool:
    storage, path = run.archive.storage, verdict.shard
    try:
        sound = read_copy(storage.open, other_copy(path))
    except (FileNotFoundError, DamagedData, StorageError):
        return False
    run.lock.check()
    aside = None if verdict.verdict is Verdict.MISSING else storage.set_aside(path)
    publish_bytes(storage, path, sound.content)
    storage.sync_directory(DICTIONARIES_DIR)
    read_copy(storage.open, path)
    _record(run, verdict, aside)
    return True


def _record(run: Run, verdict: ShardVerdict, aside: str | None) -> None:
    def work(tx: Transaction) -> None:
        forget_damage(tx, [verdict.shard])
        record_event(
            tx,
            action="dictionary_restored",
            actor=run.archive.actor,
            now=datetime.now(UTC),
            reason=verdict.problem,
            details={
                "run_id": run.run_id,
                "name": verdict.shard,
                "verdict": str(verdict.verdict),
                "set_aside": aside,
                "taken_from": other_copy(verdict.shard),
            },
        )

    run.lock.write(work)
