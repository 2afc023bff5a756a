"""How each job ended, and what was found damaged: kept until it is fixed.

What a command said is gone with its terminal. The next person's screen reads it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from des_core.basics.errors import DesError, ExitCode
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.process.logs import get_logger

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

RUN, RETRY, VERIFY, RECONCILE = "run", "exceptions retry", "verify", "reconcile"
BACKUP, UP, DOWN, COMPLIANCE = "backup check", "migrate up", "migrate down", "compliance sync"
JOBS = (RUN, RETRY, VERIFY, RECONCILE, BACKUP, UP, DOWN, COMPLIANCE)
# Of each kind of job; sharded workers are kinds of their own.
KEPT = 50
FIRST_WORDS = 500
SUCCEEDED = frozenset({ExitCode.DONE, ExitCode.NEW_EXCEPTIONS})
# Somebody stopped it, or somebody else was at work: says nothing about how things stand.
NO_NEWS = frozenset({ExitCode.LOCKED, ExitCode.INTERRUPTED, ExitCode.TERMINATED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """One job that ended. `files` is how many it could not do, or found wrong."""

    job: str
    worker: int
    actor: str
    started_at: datetime
    ended_at: datetime
    exit_code: int
    files: int
    message: str | None
    hint: str | None

    @property
    def succeeded(self) -> bool:
        return self.exit_code in SUCCEEDED

    @property
    def is_news(self) -> bool:
        return self.exit_code not in NO_NEWS


@dataclass
class Remembered:
    """What a job tells of itself while it is at work.

    A good end takes an earlier bad one off the screens, unless it `clears_nothing`: a part of the
    work that is in order says nothing about the rest.
    """

    files: int = 0
    message: str | None = None
    hint: str | None = None
    exit_code: int = ExitCode.DONE
    clears_nothing: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    @contextmanager
    def nowhere(cls) -> Iterator[Remembered]:
        """For a job that nobody keeps: a script's own cycle."""
        yield cls()

    def end(self, exc: BaseException) -> None:
        """How it ended: the error's own code, words and next command."""
        self.exit_code = _code_of(exc)
        if isinstance(exc, DesError):
            self.message, self.hint = str(exc), exc.hint
        elif self.exit_code == ExitCode.BUG:
            self.message = f"an unexpected error: {type(exc).__name__}"


@contextmanager
def remembered(
    config: Callable[[], Database],
    job: str,
    *,
    actor: str,
    worker: int = 0,
    clean: Callable[[str], str] = str,
) -> Iterator[Remembered]:
    """Keep how the block ends, also where it raises; errors go on unchanged.

    `config` opens the database that keeps it, `clean` takes secrets out of words. Where it cannot
    be kept (the database is away, the tables are not there) the job is none the worse.
    """
    seen = Remembered()
    try:
        yield seen
    except BaseException as exc:
        seen.end(exc)
        raise
    finally:
        is_part = seen.clears_nothing and seen.exit_code in SUCCEEDED
        if seen.exit_code != ExitCode.LOCKED and not is_part:
            _keep(config, _outcome(seen, job, actor, worker, clean))


def newest_outcomes(tx: Transaction, job: str) -> list[Outcome]:
    """The kept outcomes of one kind of job, newest first."""
    return [_read(row) for row in tx.run("outcome_of_job", {"job": job, "page_size": KEPT})]


def _outcome(
    seen: Remembered, job: str, actor: str, worker: int, clean: Callable[[str], str]
) -> Outcome:
    def words(text: str | None) -> str | None:
        return None if text is None else clean(text)[:FIRST_WORDS]

    return Outcome(
        job=job,
        worker=worker,
        actor=actor[:200],
        started_at=seen.started_at,
        ended_at=datetime.now(UTC),
        exit_code=int(seen.exit_code),
        files=seen.files,
        message=words(seen.message),
        hint=words(seen.hint),
    )


def _keep(config: Callable[[], Database], outcome: Outcome) -> None:
    try:
        config().transact(partial(_add, outcome=outcome))
    except DesError as exc:
        if outcome.exit_code == exc.exit_code:
            return  # for the very reason that the job failed for, and says itself
        get_logger("outcomes").warning("outcome_not_kept", job=outcome.job, error=str(exc))


def _add(tx: Transaction, outcome: Outcome) -> None:
    tx.run("outcome_add", {name: getattr(outcome, name) for name in Outcome.__slots__})
    _forget_old(tx, outcome.job)


def _forget_old(tx: Transaction, job: str) -> None:
    rows = tx.run("outcome_of_job", {"job": job, "page_size": KEPT + 1}).all()
    if len(rows) > KEPT:
        tx.run("outcome_forget", {"job": job, "upto_id": rows[-1].outcome_id})


def _read(row: Row[Any]) -> Outcome:
    return Outcome(
        job=row.job,
        worker=int(row.worker),
        actor=row.actor,
        started_at=from_stored(row.started_at),
        ended_at=from_stored(row.ended_at),
        exit_code=int(row.exit_code),
        files=int(row.files),
        message=row.message,
        hint=row.hint,
    )


def _code_of(exc: BaseException) -> int:
    """The exit code of our own errors, and of a command that ends with one on purpose."""
    code = getattr(exc, "exit_code", None)
    if isinstance(code, int):
        return int(code)
    return int(ExitCode.INTERRUPTED if isinstance(exc, KeyboardInterrupt) else ExitCode.BUG)
