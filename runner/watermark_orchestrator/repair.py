"""Repairing damage: the damaged shard is set aside, its files are packed again from what is left.

Order of execution, which is the safety argument:

0. Dictionaries are restored from their other copy (`dictionary_repair`).
1. The shards are read again, under the lock: what is sound after all stays.
2. They are moved to `_damaged/`, never deleted. From here on readers find no shard instead of a
   bad one, which is no less true.
3. One transaction for each: the ledger forgets it, and each row of `files` that was in it and is
   in no other shard becomes an open exception, `damaged`. Now the formula tells the truth. If
   nothing was left to set aside, a note in its place keeps readers from waiting for it.
4. These exceptions are tried: where the source still exists, it is packed as a new part.
5. Where it does not, the file is taken from the damaged shard, if its own checksum there still
   proves it; else the exception stays open.

A crash after any step is cured by running the repair again: step 5 begins with whatever lies in
`_damaged/`, and step 3 with shards that the ledger has and the archive has not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from des_core.basics.errors import Refused
from des_core.basics.routing import parse_shard_name
from des_core.database.transaction import Transaction
from des_core.ledger.damage import forget_damage
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import NewException, record_exceptions
from des_core.ledger.slices import KnownShard, dictionaries_on_record, find_shard
from des_core.ledger.watermark import Watermark, confirm_watermark
from des_core.reading.reconcile import DayScope, Reconciler
from des_core.reading.verify import ShardVerdict, Verdict, is_manifest, verify_one
from des_core.reading.verify_tasks import Task
from des_core.records import SourceRow
from des_core.shard_io.dictionaries import is_dictionary_path
from des_core.storage.dictionaries import is_sound, list_dictionaries
from des_core.storage.layout import LOST_SUFFIX, set_aside_as
from des_core.storage.manifests import claimed_hashes
from des_core.storage.small_files import publish_unless_taken
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.dictionary_repair import (
    give_up_dictionaries,
    restore_dictionaries,
)
from watermark_orchestrator.progress_events import ProgressSink, ignore_progress
from watermark_orchestrator.rechecking import reconciler_of
from watermark_orchestrator.retrying import RetryReport, Selection, retry_exceptions
from watermark_orchestrator.run import Run, open_run
from watermark_orchestrator.salvage import Salvage, salvage_damaged
from watermark_orchestrator.stopping import StopRequest
from watermark_orchestrator.writers import SoleWriter

DAMAGED = "damaged"
# Of so many shards, that all of them are missing is no accident.
MISSING_COUNTS_FROM = 3
_TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class RepairReport:
    """What came of it. `recorded` rows were in the shards set aside; what was salvaged came from
    those, or from shards that earlier repairs set aside.

    `restored` are copies of dictionaries; of those `lost`, the other copy is not sound either.
    """

    restored: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    recorded: int = 0
    retried: RetryReport = field(default_factory=RetryReport)
    salvage: Salvage = field(default_factory=Salvage)

    @property
    def salvaged(self) -> int:
        return self.salvage.packed

    @property
    def still_open(self) -> int:
        """Files of these shards, or of those set aside earlier, that are nowhere else."""
        return max(self.retried.failed - self.salvage.tried, self.salvage.left)


@dataclass(frozen=True, slots=True)
class _Bad:
    """A shard or manifest that is not sound; `aside` is its new name."""

    verdict: ShardVerdict
    known: KnownShard | None
    aside: str | None = None

    @property
    def name(self) -> str:
        return self.verdict.shard


def repair_now(
    archive: Archive,
    findings: Iterable[ShardVerdict],
    *,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
) -> RepairReport:
    """Repair what a verification found. Refused where the whole archive seems to be missing."""
    stop = stop or StopRequest()
    report = RepairReport()
    found = list(findings)
    _refuse_unmounted(archive, found)
    with open_run(archive, stop, progress, "verify --repair", may_lack_shards=True) as (
        run,
        watermark,
    ):
        report.restored, lost_copies = restore_dictionaries(run, found)
        _refuse_without_dictionaries(archive, found)
        give_up_dictionaries(run, lost_copies)
        report.lost = [copy.shard for copy in lost_copies]
        shards = [finding for finding in found if not is_dictionary_path(finding.shard)]
        bad = _set_aside(run, shards, report)
        reconciler = reconciler_of(archive, stop, listing=run.listing)
        lost = [item.name for item in bad]
        for item in bad:
            stop.check()
            rows = _rows_lost(reconciler, watermark, item.name, lost, archive.policy.max_captured)
            _forget(run, watermark, item, rows)
            report.recorded += len(rows)
        began = datetime.now(UTC)
        report.retried.add(
            retry_exceptions(run, SoleWriter(watermark), Selection(reasons=frozenset({DAMAGED})))
        )
        report.salvage = salvage_damaged(run, watermark, began)
    return report


def _refuse_unmounted(archive: Archive, findings: list[ShardVerdict]) -> None:
    missing = [finding for finding in findings if finding.verdict is Verdict.MISSING]
    if len(missing) >= MISSING_COUNTS_FROM and not archive.storage.list_shards():
        raise Refused(
            "there is not one shard in the output directory: nothing was changed",
            hint="is the archive mounted at packer.output_dir?",
            path=archive.packer_config.output_dir,
        )


def _refuse_without_dictionaries(archive: Archive, findings: list[ShardVerdict]) -> None:
    """A directory that was left behind, cut short or taken from another archive is no loss yet."""
    lacking = [finding for finding in findings if finding.lacks_dictionary]
    if len(lacking) < MISSING_COUNTS_FROM:
        return
    with archive.config.read() as tx:
        named = dictionaries_on_record(tx) or set(list_dictionaries(archive.storage))
    sound = [name for name in named if is_sound(archive.storage, name)]
    if not sound or 2 * len(sound) < len(named):
        raise Refused(
            f"shards need dictionaries, and of {len(named)} that were used {len(sound)} are there "
            "and sound: no shard was set aside",
            hint="bring _dictionaries/ back, readable, from where the archive was copied from, or "
            "from its backup; files whose sources are there can be packed again one by one",
            path=archive.packer_config.output_dir,
            shards=len(lacking),
        )


def _set_aside(run: Run, findings: list[ShardVerdict], report: RepairReport) -> list[_Bad]:
    """What is bad still, all of it out of the way before anything is looked up."""
    bad = []
    claims = claimed_hashes(run.archive.storage, [finding.shard for finding in findings])
    for finding in findings:
        run.stop.check()
        claimed = claims.get(finding.shard, frozenset())
        item = _look_again(run.archive, finding.shard, claimed)
        if item is None:
            continue
        if item.verdict.verdict is not Verdict.MISSING:
            run.lock.check()
            item = replace(item, aside=run.archive.storage.set_aside(finding.shard))
            report.set_aside.append(str(item.aside))
        bad.append(item)
    return bad


def _look_again(archive: Archive, name: str, claimed: frozenset[str]) -> _Bad | None:
    known = None if is_manifest(name) else find_shard(archive.config, name)
    task = Task(name, is_known=known is not None, claimed=claimed)
    verdict = verify_one(archive.storage, archive.config, task)
    return _Bad(verdict, known) if verdict.is_bad else None


def _forget(run: Run, watermark: Watermark, item: _Bad, rows: list[SourceRow]) -> None:
    _commit(run, watermark, item, rows)
    if item.verdict.verdict is Verdict.MISSING and parse_shard_name(item.name) is not None:
        note = f"{item.verdict.problem}\n".encode()
        publish_unless_taken(run.archive.storage, set_aside_as(item.name) + LOST_SUFFIX, note)


def _rows_lost(
    reconciler: Reconciler, watermark: Watermark, name: str, lost: list[str], limit: int
) -> list[SourceRow]:
    """The rows of the shard's day and bucket, below the watermark, that nobody else holds."""
    place = parse_shard_name(name)
    if place is None:
        return []
    midnight = datetime(place.day.year, place.day.month, place.day.day, tzinfo=UTC)
    end = min(midnight + timedelta(days=1) - _TICK, watermark.archived_until)
    scope = DayScope(place.day, midnight - _TICK, end)
    found = reconciler.find_late(scope, bucket=place.bucket, lost=lost)
    rows = list(islice(chain.from_iterable(found), limit + 1))
    if len(rows) > limit:
        raise Refused(
            f"the shard's files are more than the {limit:,} that can be recorded as exceptions",
            hint="raise migration.max_captured, then run the same command again",
            shard=name,
        )
    return rows


def _commit(run: Run, watermark: Watermark, item: _Bad, rows: list[SourceRow]) -> None:
    verdict, known = item.verdict, item.known
    actor, now = run.archive.actor, datetime.now(UTC)

    def work(tx: Transaction) -> None:
        record_exceptions(tx, _exceptions(rows, verdict), now=now)
        if known is not None:
            tx.run("shard_forget", {"name": verdict.shard})
        forget_damage(tx, [verdict.shard])
        confirm_watermark(tx, expected=watermark, actor=actor, now=now)
        record_event(
            tx,
            action="damage_set_aside",
            actor=actor,
            now=now,
            reason=verdict.problem,
            details={
                "run_id": run.run_id,
                "name": verdict.shard,
                "verdict": str(verdict.verdict),
                "set_aside": item.aside,
                "sha256": None if known is None else known.record.sha256,
                "files": None if known is None else known.record.files,
                "recorded": len(rows),
            },
        )

    run.lock.write(work)


def _exceptions(rows: list[SourceRow], verdict: ShardVerdict) -> Iterable[NewException]:
    for row in rows:
        yield NewException.of_pending(row, DAMAGED, f"{verdict.shard}: {verdict.problem}")
