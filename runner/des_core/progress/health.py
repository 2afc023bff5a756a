"""What somebody must look at: one list, which every screen puts on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from des_core.basics.errors import ExitCode
from des_core.basics.timestamps import format_utc
from des_core.database.transaction import Transaction
from des_core.ledger.damage import Damage, DamageCount, count_damage, list_damage
from des_core.ledger.outcomes import BACKUP, JOBS, RUN, Outcome, newest_outcomes
from des_core.ledger.provenance import Origin, Provenance

NAMED = 3
_ENDED = {
    ExitCode.BUG: "failed",
    ExitCode.USAGE: "could not begin",
    ExitCode.REFUSED: "refused",
    ExitCode.DATABASE_UNREACHABLE: "lost the database",
    ExitCode.WRONG_SCHEMA: "found the wrong schema",
    ExitCode.DAMAGED: "found damage",
}


class Severity(StrEnum):
    """`failed` is what makes `doctor` end with exit code 4."""

    FAILED = "failed"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """One finding: `name` is stable, for programs; `hint` is the next command."""

    name: str
    severity: Severity
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class Memory:
    """How jobs ended, the newest first of each kind, and what is known to be damaged."""

    outcomes: dict[str, list[Outcome]]
    damaged: DamageCount
    damage: Sequence[Damage]


def read_memory(tx: Transaction) -> Memory:
    """What the config database remembers: some rows of each kind of job."""
    return Memory(
        outcomes={job: newest_outcomes(tx, job) for job in JOBS},
        damaged=count_damage(tx),
        damage=list_damage(tx, limit=NAMED),
    )


def judge(
    provenance: Provenance, target: datetime, now: datetime, memory: Memory | None = None
) -> list[Remark]:
    """The findings, the worst first."""
    future = provenance.future(now)
    found = [
        *(_judge_future(future, provenance) if future else _judge_origin(provenance)),
        *([] if future else _judge_target(provenance, target)),
        *(judge_memory(memory, now) if memory is not None else ()),
    ]
    return sorted(found, key=lambda remark: remark.severity is not Severity.FAILED)


def judge_memory(memory: Memory, now: datetime) -> Iterator[Remark]:
    """Damage that nobody has mended, and jobs whose newest news is bad."""
    if memory.damaged.files:
        yield _damage(memory)
    for job, outcomes in memory.outcomes.items():
        for worker in sorted({outcome.worker for outcome in outcomes}):
            news = [o for o in outcomes if o.worker == worker and o.is_news]
            if news and not news[0].succeeded and not _is_told_by_damage(news[0], memory):
                yield _bad_end(job, news, now)


def count_failed_in_a_row(outcomes: Sequence[Outcome]) -> int:
    """Of outcomes that say something, newest first."""
    return sum(1 for _ in takewhile(lambda outcome: not outcome.succeeded, outcomes))


def _judge_future(future: str, provenance: Provenance) -> list[Remark]:
    return [Remark("watermark", Severity.FAILED, future, provenance.set_hint)]


def _judge_origin(provenance: Provenance) -> list[Remark]:
    problem, hint = provenance.problem, provenance.hint
    if problem is None or hint is None:
        return []
    is_forward = provenance.origin is Origin.FORWARD
    severity = Severity.FAILED if is_forward else Severity.WARNING
    return [Remark("watermark", severity, problem, hint)]


def _judge_target(provenance: Provenance, target: datetime) -> list[Remark]:
    beyond = provenance.watermark - target
    if beyond <= timedelta(0) or not provenance.is_explained:
        return []
    text = (
        f"the watermark is {_length(beyond)} beyond its target {format_utc(target)}: was a clock "
        "ahead, or the lag raised? What came in since may be late"
    )
    return [Remark("target", Severity.WARNING, text, "des-admin reconcile")]


def _damage(memory: Memory) -> Remark:
    names = ", ".join(f"{item.name} ({item.verdict})" for item in memory.damage)
    more = memory.damaged.files - len(memory.damage)
    rest = f" and {more:,} more" if more else ""
    oldest = memory.damaged.oldest
    since = "" if oldest is None else f", since {format_utc(oldest.replace(microsecond=0))}"
    text = f"not sound: {names}{rest}{since}"
    return Remark("damage", Severity.FAILED, text, "des-admin verify --repair")


def _is_told_by_damage(outcome: Outcome, memory: Memory) -> bool:
    return outcome.exit_code == ExitCode.DAMAGED and bool(memory.damaged.files)


def _bad_end(job: str, news: Sequence[Outcome], now: datetime) -> Remark:
    newest, in_a_row = news[0], count_failed_in_a_row(news)
    what = "cycle" if job == RUN else job
    worker = f" of worker {newest.worker}" if newest.worker else ""
    ended = _ENDED.get(ExitCode(newest.exit_code), "failed")
    words = f": {newest.message}" if newest.message else ""
    times = f"; {in_a_row} in a row" if in_a_row > 1 else ""
    text = f"the last {what}{worker} {ended} {_ago(now - newest.ended_at)}{words}{times}"
    severity = Severity.WARNING if job == BACKUP else Severity.FAILED
    return Remark(job, severity, text, newest.hint or f"des-admin {job}")


def _ago(past: timedelta) -> str:
    return "just now" if past < timedelta(minutes=1) else f"{_length(past)} ago"


def _length(span: timedelta) -> str:
    """In its largest unit."""
    total_s = span.total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if total_s >= 2 * length:
            return f"{total_s // length:.0f} {unit}"
    return f"{total_s:.0f} seconds"
