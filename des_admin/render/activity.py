"""Work in progress: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from des_admin.render.values import count, duration, size

if TYPE_CHECKING:
    from des_admin.context import Context

LINE_EVERY_S = 30.0


class Work:
    """Progress of one job. `total` may be learnt later, and may grow."""

    def __init__(self, context: Context, title: str, total: int | None, unit: str) -> None:
        self.context, self.title, self.unit = context, title, unit
        self.total, self.done, self.done_bytes = total, 0, 0
        self.began = self.told = time.monotonic()

    def advance(self, units: int, size_bytes: int = 0) -> None:
        """So much more is done."""
        self.set(self.done + units, self.done_bytes + size_bytes)

    def set(self, done: int, done_bytes: int, total: int | None = None) -> None:
        """So much is done in all."""
        self.done, self.done_bytes = done, done_bytes
        self.total = self.total if total is None else total
        self.show()

    def tell(self, title: str) -> None:
        """What is being done now."""
        self.title = title
        self.show()

    def show(self) -> None:
        """Elsewhere than on a terminal: a line every LINE_EVERY_S."""
        now = time.monotonic()
        if now - self.told >= LINE_EVERY_S:
            self.told = now
            self.context.say(self.line())

    def line(self) -> str:
        """Where the work stands, in one line."""
        elapsed = max(time.monotonic() - self.began, 1e-6)
        whole = "" if self.total is None else f" of {count(self.total)}"
        parts = [f"{self.title}: {count(self.done)}{whole} {self.unit}"]
        if self.done_bytes:
            parts.append(f"{size(self.done_bytes)}, {size(round(self.done_bytes / elapsed))}/s")
        parts.append(f"{count(round(self.done / elapsed))} {self.unit}/s")
        if self.total and self.done:
            left = elapsed / self.done * max(self.total - self.done, 0)
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class _BarWork(Work):
    """On a terminal."""

    def __init__(
        self, context: Context, title: str, total: int | None, unit: str, bar: Any
    ) -> None:
        super().__init__(context, title, total, unit)
        self._bar = bar
        self._task = bar.add_task(title, total=total, facts="")

    def show(self) -> None:
        elapsed = max(time.monotonic() - self.began, 1e-6)
        facts = f"{count(self.done)} {self.unit}, {count(round(self.done / elapsed))}/s"
        if self.done_bytes:
            facts += f", {size(round(self.done_bytes / elapsed))}/s"
        self._bar.update(
            self._task,
            completed=self.done,
            total=self.total,
            description=self.title,
            facts=facts,
        )


@contextmanager
def watch_work(
    context: Context, title: str, total: int | None = None, *, unit: str
) -> Iterator[Work]:
    """Show work while the block lasts; on stderr, so that data can be piped."""
    if context.options.quiet or not context.talk.is_terminal or context.talk.is_dumb_terminal:
        yield Work(context, title, total, unit)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=context.talk, transient=True) as bar:
        yield _BarWork(context, title, total, unit, bar)
