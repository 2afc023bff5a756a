"""The runner under this program: its progress shown, its stop obeyed, its report rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from des_admin.context import Context
from des_admin.render.activity import Work, watch_work
from des_admin.render.values import utc
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from des_core.ledger.exception_edits import ExceptionFilter
    from watermark_orchestrator.archive import Archive
    from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink
    from watermark_orchestrator.retrying import RetryReport
    from watermark_orchestrator.stopping import StopRequest

Opener = Callable[[], "AbstractContextManager[Archive]"]


def make_opener(context: Context) -> Opener:
    """Opens the archive of the configuration; the watermark's moves are signed by the operator."""
    from watermark_orchestrator.archive import open_archive

    return partial(open_archive, context.settings, actor=context.actor)


@contextmanager
def obeying_signals(context: Context) -> Iterator[StopRequest]:
    """Ctrl-C and SIGTERM ask for a stop at the next safe point."""
    from watermark_orchestrator.stopping import stop_on_signals

    with stop_on_signals(context.say) as stop:
        yield stop


@contextmanager
def logging_as_configured(context: Context) -> Iterator[None]:
    """The log goes to its file; without one, to stderr if --verbose asks for it."""
    from des_core.process.logs import open_logs
    from des_core.process.secrets import secrets_of

    settings = context.settings
    quiet = settings.logging.file is None and not context.options.verbose
    with open_logs(settings.logging, secrets=secrets_of(settings), quiet=quiet):
        yield


@contextmanager
def watching(context: Context, title: str, total: int | None) -> Iterator[ProgressSink]:
    """A sink for the runner's events, shown as a bar or as lines."""
    with watch_work(context, title, total, unit="files") as work:
        yield _Narrator(context, work).tell


class _Narrator:
    """Adds what is done in the running slice to what earlier slices did."""

    def __init__(self, context: Context, work: Work) -> None:
        self.context, self.work = context, work
        self.files_before = self.bytes_before = 0

    def tell(self, event: ProgressEvent) -> None:
        if event.kind == "reconnecting":
            self.context.warn(f"cannot go on, trying again: {event.message}")
        elif event.kind == "retry_started":
            self.work.tell(f"trying {numbered(event.files_total, 'exception')} again")
        elif event.kind == "slice_started" and event.window is not None:
            self.work.tell(f"packing up to {utc(event.window.end)}")
        elif event.kind == "files_packed":
            self.work.set(self.files_before + event.files, self.bytes_before + event.bytes)
        elif event.kind == "slice_committed":
            self.files_before, self.bytes_before = self.work.done, self.work.done_bytes


def waiting_files(context: Context) -> int | None:
    """How many files a cycle will pack, about: for the bar. None where nobody watches."""
    from des_core.ledger.watermark import compute_target, read_watermark
    from des_core.rows.amounts import count_waiting
    from des_core.rows.reader import SourceReader

    if not context.talk.is_terminal:
        return None
    source = SourceReader(context.source, context.settings.database)
    config = context.config_database
    with config.read() as tx:
        watermark = read_watermark(tx)
    clock = source.clock()
    target = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
    return count_waiting(source, watermark.archived_until, target).files


def retry_selected(context: Context, wanted: ExceptionFilter) -> RetryReport:
    """Try the exceptions that are meant again, due or not."""
    from watermark_orchestrator.cycle import retry_now
    from watermark_orchestrator.retrying import Selection

    selection = Selection(reasons=wanted.reasons, uids=wanted.uids)
    with (
        obeying_signals(context) as stop,
        watching(context, "exceptions", None) as progress,
        make_opener(context)() as archive,
    ):
        return retry_now(archive, selection, stop=stop, progress=progress)
