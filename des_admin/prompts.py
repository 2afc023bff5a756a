"""Questions to the operator. Nobody there, no answer, or the wrong one: nothing is done, exit 4."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn, TextIO

from des_core.basics.errors import Refused, Terminated


@dataclass(frozen=True)
class Prompts:
    """Asks on `write` (stderr) and reads from `stdin`, which must be a terminal."""

    stdin: TextIO | None
    write: Callable[[str], None]

    @property
    def somebody_is_there(self) -> bool:
        return self.stdin is not None and not self.stdin.closed and self.stdin.isatty()

    def confirm(self, question: str, *, yes: bool) -> None:
        """Return when confirmed by `--yes` or by typing y; Refused otherwise."""
        if yes:
            return
        self._require_somebody("add --yes to confirm it without being asked")
        answer = self._read(f"{question} [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            raise Refused("not confirmed: nothing was changed")

    def confirm_number(self, question: str, expected: int, *, given: int | None) -> None:
        """Return when `expected` was typed, or given by `--confirm N`; Refused otherwise.

        For what cannot be undone, or makes files count as archived that are in no shard.
        """
        if given is None:
            self._require_somebody(f"add --confirm {expected} to confirm it without being asked")
            text = self._read(f"{question} ").strip().replace(",", "").replace("_", "")
            given = int(text) if text.isdecimal() and text.isascii() else None
        if given != expected:
            raise Refused("the number does not match: nothing was changed", expected=expected)

    def ask(self, question: str, default: str = "") -> str:
        """One line; the default where only Enter was pressed."""
        shown = f" [{default}]" if default else ""
        return self._read(f"{question}{shown}: ").strip() or default

    def _require_somebody(self, hint: str) -> None:
        if not self.somebody_is_there:
            raise Refused(
                "this must be confirmed, and there is no terminal to ask on: nothing was changed",
                hint=hint,
            )

    def _read(self, question: str) -> str:
        if self.stdin is None:
            raise Refused("there is no terminal to ask on: nothing was changed")
        with _signals_end_it() as wakened:
            self.write(question)
            # A signal between the question and the read would find nobody, and the read would
            # wait for a line that nobody types: so the wait is for both.
            select.select([self.stdin.fileno(), wakened.fileno()], [], [])
            line = self.stdin.readline()
        if not line:
            self.write("\n")
            raise Refused("the input ended before an answer: nothing was changed")
        return line


@contextmanager
def _signals_end_it() -> Iterator[socket.socket]:
    """While a question waits, Ctrl-C and SIGTERM end the program; gives what a signal wakes.

    A job around it may have them mean "stop at the next safe point", and no question reaches one.
    Questions are asked on the main thread, the only one that Python lets handle signals.
    """
    wakened, waking = socket.socketpair()
    with wakened, waking:
        waking.setblocking(False)
        wakeup_before = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        kept = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _raise_terminated),
        }
        try:
            yield wakened
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_before)


def _raise_terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated("terminated before an answer: nothing was changed")
