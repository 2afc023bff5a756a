"""Dictionaries restored from their other copy, before a shard is looked at that may need them.

1. The copy is read again: what is sound after all stays.
2. Its bytes are looked for: in the other copy, else under any other name beside it or in
   `_damaged/`, since somebody may have renamed it. They are compared with the sha256 of its name.
3. The bad copy is moved to `_damaged/`, never deleted; the sound one is published under its name.
4. One transaction records it.
5. If they are nowhere, copies whose bytes are not those of their name are moved to `_damaged/` too:
   they serve nobody, and would be in the way of the same dictionary, trained again. What cannot be
   read stays. What needs the dictionary is for the shards to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain

from des_core.basics.errors import DamagedData, StorageError
from des_core.database.transaction import Transaction
from des_core.ledger.damage import forget_damage
from des_core.ledger.events import record_event
from des_core.reading.verify import ShardVerdict, Verdict, verify_one
from des_core.reading.verify_tasks import Task
from des_core.shard_io.dictionaries import (
    COPY_SUFFIX,
    DICTIONARIES_DIR,
    is_dictionary_name,
    is_dictionary_path,
    other_copy,
    read_as,
    read_copy,
)
from des_core.storage.directory import Storage
from des_core.storage.layout import DAMAGED_DIR
from des_core.storage.small_files import publish_bytes
from watermark_orchestrator.run import Run


def restore_dictionaries(
    run: Run, findings: Iterable[ShardVerdict]
) -> tuple[list[str], list[ShardVerdict]]:
    """The copies that were restored, and those that could not be."""
    restored: list[str] = []
    lost: list[ShardVerdict] = []
    for finding in findings:
        if not is_dictionary_path(finding.shard):
            continue
        run.stop.check()
        archive = run.archive
        verdict = verify_one(archive.storage, archive.config, Task(finding.shard, is_known=False))
        if not verdict.is_bad:
            continue
        if _restore(run, verdict):
            restored.append(finding.shard)
        else:
            lost.append(verdict)
    return restored, lost


def give_up_dictionaries(run: Run, lost: Iterable[ShardVerdict]) -> None:
    """Move what serves nobody out of the way, and forget what is not there any more."""
    for verdict in sorted(lost, key=lambda verdict: verdict.verdict is Verdict.MISSING):
        _give_up(run, verdict)


def _restore(run: Run, verdict: ShardVerdict) -> bool:
    storage, path = run.archive.storage, verdict.shard
    found = next(_sound_bytes(storage, path), None)
    if found is None:
        return False
    taken_from, content = found
    run.lock.check()
    # A link to nothing is missing, and has the name.
    aside = storage.set_aside(path) if storage.exists(path) else None
    publish_bytes(storage, path, content)
    storage.sync_directory(DICTIONARIES_DIR)
    read_copy(storage.open, path)
    _record(run, "dictionary_restored", verdict, set_aside=aside, taken_from=taken_from)
    return True


def _sound_bytes(storage: Storage, path: str) -> Iterator[tuple[str, bytes]]:
    """Where the bytes of a dictionary are, and they themselves."""
    name = path.rpartition("/")[2].removesuffix(COPY_SUFFIX)
    for place in chain([other_copy(path)], _other_places(storage)):
        with suppress(FileNotFoundError, DamagedData, StorageError):
            yield place, read_as(storage.open, place, name).content


def _other_places(storage: Storage) -> Iterator[str]:
    for other in storage.list_names(DICTIONARIES_DIR):
        yield f"{DICTIONARIES_DIR}/{other}"
    for other in storage.list_names(DAMAGED_DIR):
        if is_dictionary_name(other.partition(".")[0]):
            yield f"{DAMAGED_DIR}/{other}"


def _give_up(run: Run, verdict: ShardVerdict) -> None:
    storage, path = run.archive.storage, verdict.shard
    aside = None
    if verdict.verdict is Verdict.DAMAGED:
        run.lock.check()
        aside = storage.set_aside(path)
    elif verdict.verdict is not Verdict.MISSING or storage.exists(other_copy(path)):
        return
    _record(run, "dictionary_lost", verdict, set_aside=aside)


def _record(run: Run, action: str, verdict: ShardVerdict, **facts: str | None) -> None:
    def work(tx: Transaction) -> None:
        forget_damage(tx, [verdict.shard])
        record_event(
            tx,
            action=action,
            actor=run.archive.actor,
            now=datetime.now(UTC),
            reason=verdict.problem,
            details={
                "run_id": run.run_id,
                "name": verdict.shard,
                "verdict": str(verdict.verdict),
                **facts,
            },
        )

    run.lock.write(work)
