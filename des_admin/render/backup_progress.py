"""Progress of a backup on stderr: a bar on a terminal, elsewhere a line every half minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from des_admin.render.values import size

if TYPE_CHECKING:
    from des_admin.context import Context
    from des_core.backup.progress import Listener, Progress

LINE_EVERY_S = 30.0
_WORDS = {
    "dump": "dumping",
    "routines": "dumping routines",
    "hash": "hashing",
    "read": "reading every byte",
    "examine": "reading with the database's own tool",
    "restore": "restoring into a scratch database",
}


@contextmanager
def show_progress(context: Context) -> Iterator[Listener]:
    """A listener for the domain; `--quiet` hears nothing."""
    if context.options.quiet:
        yield lambda _progress: None
    elif context.talk.is_terminal:
        with _bars(context) as listener:
            yield listener
    else:
        yield _Lines(context).tell


@contextmanager
def _bars(context: Context) -> Iterator[Listener]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(bar_width=24)]
    columns += [DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn()]
    with Bars(*columns, console=context.talk, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(progress: Progress) -> None:
            if progress.step not in tasks:
                for done in tasks.values():
                    bars.update(done, visible=False)
                tasks[progress.step] = bars.add_task(_word(progress), total=None)
            bars.update(
                tasks[progress.step], completed=progress.done_bytes, total=progress.total_bytes
            )

        yield tell


class _Lines:
    """One line at the start of a step, then one every half minute."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._step: str | None = None
        self._told_at = 0.0

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.step == self._step and now - self._told_at < LINE_EVERY_S:
            return
        self._step, self._told_at = progress.step, now
        of = "" if progress.total_bytes is None else f" of {size(progress.total_bytes)}"
        done = f": {size(progress.done_bytes)}{of}" if progress.done_bytes else ""
        self._context.say(f"{_word(progress)}{done}")


def _word(progress: Progress) -> str:
    return _WORDS.get(progress.step, progress.step)
