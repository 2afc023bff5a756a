"""Cycles that survive a lost connection, once or for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from des_core.basics.errors import DatabaseUnreachable, ExitCode, LockHeld, SchedulerUnreachable
from des_core.ledger.outcomes import Remembered
from des_core.metrics import RunnerMetrics
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.cycle import CycleReport, run_cycle
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink, ignore_progress
from watermark_orchestrator.stopping import StopRequest

ArchiveOpener = Callable[[], AbstractContextManager[Archive]]
Remember = Callable[[], AbstractContextManager[Remembered]]
RECONNECT_FOR_S = 300.0
LONGEST_WAIT_S = 15.0
DEFAULT_INTERVAL_S = 300.0


def run_single(
    open_archive: ArchiveOpener,
    *,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
    metrics: RunnerMetrics | None = None,
    reconnect_for_s: float = RECONNECT_FOR_S,
    remember: Remember = Remembered.nowhere,
) -> CycleReport:
    """One cycle; `remember` keeps how it ended.

    A connection that breaks on the way is opened again for `reconnect_for_s` seconds. A database
    that cannot be reached at the beginning is an error at once.
    """
    with remember() as seen:
        report = _run_single(
            open_archive, stop or StopRequest(), progress, metrics, reconnect_for_s
        )
        seen.files = report.files_failed
        if report.has_new_exceptions:
            seen.exit_code = ExitCode.NEW_EXCEPTIONS
    return report


def _run_single(
    open_archive: ArchiveOpener,
    stop: StopRequest,
    progress: ProgressSink,
    metrics: RunnerMetrics | None,
    reconnect_for_s: float,
) -> CycleReport:
    report = CycleReport()
    with open_archive() as archive:
        first = _attempt(archive, stop, progress, metrics, report)
    if first is None:
        return report

    progress(ProgressEvent("reconnecting", message=str(first)))

    def again() -> None:
        with open_archive() as archive:
            run_cycle(archive, stop=stop, progress=progress, metrics=metrics, report=report)

    _reconnect(again, stop, progress, reconnect_for_s)
    return report


def _reconnect(
    again: Callable[[], None], stop: StopRequest, progress: ProgressSink, for_s: float
) -> None:
    import tenacity

    def wait(seconds: float) -> None:
        stop.wait(seconds)
        stop.check()

    def say(state: tenacity.RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        progress(ProgressEvent("reconnecting", message=str(problem)))

    tenacity.Retrying(
        # The old session may hold the lock until the server has noticed that it is gone.
        retry=tenacity.retry_if_exception_type((DatabaseUnreachable, LockHeld)),
        stop=tenacity.stop_after_delay(for_s),
        wait=tenacity.wait_random_exponential(max=LONGEST_WAIT_S),
        sleep=wait,
        before_sleep=say,
        reraise=True,
    )(again)


def run_continuously(
    open_archive: ArchiveOpener,
    *,
    stop: StopRequest,
    on_report: Callable[[CycleReport], None],
    progress: ProgressSink = ignore_progress,
    metrics: RunnerMetrics | None = None,
    interval_s: float = DEFAULT_INTERVAL_S,
    remember: Remember = Remembered.nowhere,
) -> None:
    """A cycle every `interval_s` seconds until the stop; it then raises Interrupted or Terminated.

    An unreachable database or scheduler, or somebody else's lock, is waited out; every other error
    ends it.
    """
    while True:
        try:
            on_report(
                run_single(
                    open_archive,
                    stop=stop,
                    progress=progress,
                    metrics=metrics,
                    remember=remember,
                )
            )
        except (DatabaseUnreachable, SchedulerUnreachable, LockHeld) as exc:
            progress(ProgressEvent("reconnecting", message=str(exc)))
        stop.wait(interval_s)
        stop.check()


def _attempt(
    archive: Archive,
    stop: StopRequest,
    progress: ProgressSink,
    metrics: RunnerMetrics | None,
    report: CycleReport,
) -> DatabaseUnreachable | None:
    """Run the cycle; the error that a new connection may cure, or None."""
    try:
        run_cycle(archive, stop=stop, progress=progress, metrics=metrics, report=report)
    except DatabaseUnreachable as exc:
        return exc
    return None
