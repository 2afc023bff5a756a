"""What somebody must look at: one list, which every screen puts on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from des_core.basics.durations import ago, spoken
from des_core.basics.errors import ExitCode
from des_core.basics.timestamps import format_utc
from des_core.database.transaction import Transaction
from des_core.ledger.damage import Damage, DamageCount, count_damage, list_damage
from des_core.ledger.outcomes import BACKUP, JOBS, RUN, Outcome, newest_outcomes
from des_core.ledger.provenance import Origin, Provenance
from des_core.ledger.workers import read_layouts

NAMED = 3
_ENDED: dict[int, str] = {
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
    """How jobs ended, the newest first of each kind, and what is known to be damaged.

    `workers`: among how many runners the archive is shared out, 1 for one alone.
    """

    outcomes: dict[str, list[Outcome]]
    workers: int
    damaged: DamageCount
    damage: Sequence[Damage]


def read_memory(tx: Transaction) -> Memory:
    """What the config database remembers: some rows of each kind of job."""
    return Memory(
        outcomes={job: newest_outcomes(tx, job) for job in JOBS},
        workers=max((layout.workers_total for layout in read_layouts(tx)), default=1),
        damaged=count_damage(tx),
        damage=list_damage(tx, limit=NAMED),
    )


def judge(
    provenance: Provenance,
    target: datetime,
    now: datetime,
    memory: Memory | None = None,
    around: Sequence[Remark] = (),
) -> list[Remark]:
    """The findings, the worst first; `around` is what was found outside of the databases."""
    future = provenance.future(now)
    found = [
        *(_judge_future(future, provenance) if future else _judge_origin(provenance)),
        *([] if future else _judge_target(provenance, target)),
        *around,
    ]
    if memory is not None:
        found += judge_memory(memory, now, provenance, found)
    return sorted(found, key=lambda remark: remark.severity is not Severity.FAILED)


def judge_memory(
    memory: Memory, now: datetime, provenance: Provenance, told: Sequence[Remark] = ()
) -> list[Remark]:
    """Damage that nobody has fixed, and jobs whose newest news is bad.

    A reason that stands among the remarks that are `told` already is not told again.
    """
    return list(_judge_memory(memory, now, provenance, [remark.text for remark in told]))


def _judge_memory(
    memory: Memory, now: datetime, provenance: Provenance, told: Sequence[str]
) -> Iterator[Remark]:
    if memory.damaged.files:
        yield _damage(memory)
    for job, news in find_bad_ends(memory):
        if not _is_told_by_damage(news[0], memory):
            yield _bad_end(job, news, now, provenance, told)


def find_bad_ends(memory: Memory) -> Iterator[tuple[str, list[Outcome]]]:
    """Each job whose newest news is bad, of each worker, with its news.

    A worker that the archive is no longer shared out to will never end better: it is left out.
    """
    for job, outcomes in memory.outcomes.items():
        for worker in sorted({o.worker for o in outcomes if o.worker < memory.workers}):
            news = [o for o in outcomes if o.worker == worker and o.is_news]
            if news and not news[0].succeeded:
                yield job, news


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
        f"the watermark is {spoken(beyond)} beyond its target {format_utc(target)}: was a clock "
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


def _bad_end(
    job: str,
    news: Sequence[Outcome],
    now: datetime,
    provenance: Provenance,
    told: Sequence[str],
) -> Remark:
    newest, in_a_row = news[0], count_failed_in_a_row(news)
    what = "cycle" if job == RUN else job
    worker = f" of worker {newest.worker}" if newest.worker else ""
    ended = _ENDED.get(newest.exit_code, "failed")
    message = newest.message or ""
    is_told = any(message.startswith(text) for text in told)
    words = ", for this reason" if is_told else f": {message}" if message else ""
    times = f"; {in_a_row} in a row" if in_a_row > 1 else ""
    text = f"the last {what}{worker} {ended} {_ago(now - newest.ended_at)}{words}{times}"
    severity = Severity.WARNING if job == BACKUP else Severity.FAILED
    again = f"once that is fixed: des-admin {job}"
    hint = again if is_told else _next_command(job, newest, provenance)
    return Remark(job, severity, text, hint)


def _next_command(job: str, ended: Outcome, provenance: Provenance) -> str:
    """What it said itself, and then itself: only a good end takes it off the screen.

    What it said about a watermark counts no more once somebody has moved or adopted that.
    """
    again = f"des-admin {job}"
    moved_at = provenance.known_at
    is_settled = moved_at is not None and moved_at > ended.ended_at
    hint = None if is_settled and "des-admin watermark" in (ended.hint or "") else ended.hint
    if hint is None or again in hint:
        return hint or again
    return f"{hint}; then: {again}"


def _ago(past: timedelta) -> str:
    return "just now" if abs(past) < timedelta(minutes=1) else ago(past)
