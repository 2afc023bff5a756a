"""Where answers of a foreign tool come from: the tool, or texts brought from elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Protocol

from des_core.basics.errors import Refused

KILL_AFTER_S = 5.0


class Conversation(Protocol):
    """`ask` gives the answer called `key`, None where it was not brought. `fetch` is for bytes."""

    def ask(self, key: str, *arguments: str) -> str | None: ...

    def fetch(self, target: Path, *arguments: str) -> str | None:
        """Write what the tool says to a file; returns its complaint, None where it has none.

        Refused where there is no tool to ask.
        """
        ...


class Brought:
    """Answers that somebody brought; nothing is run."""

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = answers

    def ask(self, key: str, *_arguments: str) -> str | None:
        return self._answers.get(key)

    def fetch(self, _target: Path, *_arguments: str) -> str | None:
        raise Refused(
            "only the tool itself can give the bytes", hint="run this where the tool is installed"
        )


class Asked:
    """The tool, run with the operator's options; all its answers share one time limit."""

    def __init__(self, program: str, options: tuple[str, ...], timeout_s: float) -> None:
        self._base = [program, *options]
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def ask(self, _key: str, *arguments: str) -> str | None:
        """The answer on stdout. Exit codes are not trusted either way: the words are."""
        command = [*self._base, *arguments]
        code, out, err = self._run(command, subprocess.PIPE)
        if not out.strip():
            raise Refused(
                f"the tool gave no answer (exit code {code})",
                hint="run the command by hand",
                command=" ".join(command),
                stderr=err.strip()[:1000] or None,
            )
        return out

    def fetch(self, target: Path, *arguments: str) -> str | None:
        with target.open("xb") as file:
            code, _out, err = self._run([*self._base, *arguments], file)
        return None if code == 0 else (err.strip()[:1000] or f"exit code {code}")

    def _run(self, command: list[str], stdout: int | IO[bytes]) -> tuple[int, str, str]:
        left_s = self._deadline - time.monotonic()
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process:
                try:
                    out, err = process.communicate(timeout=max(left_s, 0.1))
                except BaseException:
                    # Its own children (ssh, workers) go with it: the session is theirs alone.
                    _end_group(process)
                    raise
        except subprocess.TimeoutExpired as exc:
            raise Refused(
                f"the tool did not answer within {self._timeout_s:g} s",
                hint="give it more time: --timeout; or see what it waits for",
                command=" ".join(command),
            ) from exc
        except OSError as exc:
            raise Refused(f"the tool could not be run: {exc}", command=" ".join(command)) from exc
        return process.returncode, _text(out), _text(err)


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            continue
