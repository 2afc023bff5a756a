"""`progress --watch` on a terminal: a full screen that leaves no trace, with keys.

The alternate screen is left whatever ends it, and the keyboard is as it was. A screen of 80 × 24 is
enough: what does not fit is cut at the bottom, and the health lines are on top.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from des_admin.render.findings import draw_remarks
from des_admin.render.sections import draw_sections
from des_admin.render.tables import print_facts
from des_admin.render.values import count, utc
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.progress.now import Progress

VIEWS = ("overview", "exceptions", "cycles")
KEYS = "q quits, space looks again, 1 overview, 2 exceptions, 3 cycles"
BLOCKS = "▁▂▃▄▅▆▇█"
HISTORY = 40


def sparkline(values: Sequence[float | None], width: int = HISTORY) -> str:
    """The last values as bars, against the highest of them; a gap where nothing is known."""
    shown = list(values)[-width:]
    highest = max((value for value in shown if value is not None), default=0)
    steps = len(BLOCKS) - 1
    return "".join(
        " " if value is None else BLOCKS[round(value / highest * steps) if highest else 0]
        for value in shown
    )


@dataclass
class WatchScreen:
    """What was seen while watching, and which view is shown."""

    read: Callable[[], Progress]
    every_s: float
    view: str = VIEWS[0]
    packed: deque[int] = field(default_factory=lambda: deque(maxlen=HISTORY + 1))
    waiting: deque[int | None] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def run(self, out: Console) -> None:
        """Until q or Ctrl-C."""
        with out.screen(hide_cursor=True), _keys() as keys:
            while True:
                progress = self.read()
                self.packed.append(progress.packed.files)
                self.waiting.append(progress.pending.files)
                if not self._show_until_next(out, progress, keys):
                    return

    def _show_until_next(self, out: Console, progress: Progress, keys: Keys) -> bool:
        """Show it, also in another view that is asked for; False to leave."""
        deadline = time.monotonic() + self.every_s
        while True:
            self._paint(out, progress)
            key = keys.wait(deadline - time.monotonic())
            if key in ("q", "Q", "\x03", "\x1b"):
                return False
            if key in ("", " "):
                return True
            if key.isdigit() and 1 <= int(key) <= len(VIEWS):
                self.view = VIEWS[int(key) - 1]

    def _paint(self, out: Console, progress: Progress) -> None:
        with out.capture() as capture:
            self._draw(out, progress)
        lines = capture.get().splitlines()[: out.height - 2]
        blank = [""] * (out.height - 2 - len(lines))
        out.file.write("\x1b[H\x1b[2J" + "\r\n".join([*lines, *blank, KEYS[: out.width - 1]]))
        out.file.flush()

    def _draw(self, out: Console, progress: Progress) -> None:
        from des_admin.render import progress_view as view

        clock = utc(progress.now.replace(microsecond=0))
        title = f"des-admin progress: {self.view}"
        room = max(out.width - len(title) - 1, len(clock))
        out.print(f"{title} {clock:>{room}}", style="bold", no_wrap=True, overflow="crop")
        draw_remarks(out, progress.health)
        if self.view == "exceptions":
            draw_sections(out, [view.exceptions_section(progress)])
        elif self.view == "cycles":
            draw_sections(out, [view.cycles_section(progress)])
        else:
            print_facts(out, [*view.short_facts(progress), *self._curves(progress)])

    def _curves(self, progress: Progress) -> Iterator[tuple[str, object]]:
        steps = [after - before for before, after in pairwise(self.packed)]
        speeds = [cycle.files for cycle in reversed(progress.last_cycles)]
        yield "packed a look", f"{sparkline(steps)} {count(steps[-1]) if steps else '–'}"
        yield "pending", f"{sparkline(self.waiting)} {count(self.waiting[-1])}"
        if len(speeds) > 1:
            yield "last cycles", f"{sparkline(speeds)} {numbered(speeds[-1], 'file')}"


class Keys:
    """Single keys, without Enter."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> str:
        """The key that was pressed within so long, or nothing."""
        if self._descriptor is None:
            time.sleep(max(seconds, 0))
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], max(seconds, 0))
        if not ready:
            return ""
        return os.read(self._descriptor, 1).decode(errors="replace") or "q"


@contextmanager
def _keys() -> Iterator[Keys]:
    """The keyboard without echo and lines; as it was afterwards. Ctrl-C stays a signal."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield Keys(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
