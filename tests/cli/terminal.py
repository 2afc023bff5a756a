"""A program on a terminal of its own: what it shows, what is typed, how it ends."""

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.conftest import program_environment

TIMEOUT_S = 60.0


class Terminal:
    """`python -m MODULE arguments…` with a pseudo terminal for stdin, stdout and stderr."""

    def __init__(
        self,
        cwd: Path,
        *arguments: str,
        module: str = "des_admin",
        columns: int = 80,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = program_environment(cwd, {"TERM": "xterm-256color", **(env or {})})
        environment.pop("COLUMNS")
        self._process = subprocess.Popen(
            # A session of its own whose terminal this is, so that Ctrl-C becomes a signal.
            ["setsid", "--ctty", sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT_S)
        os.close(self._master)

    def expect(self, words: str) -> None:
        """Wait until the words are shown, after those that were expected before."""
        deadline = time.monotonic() + TIMEOUT_S
        while (at := self.text.find(words, self._seen)) < 0:
            assert self._read(deadline), f"{words!r} was not shown:\n{self.text[self._seen :]}"
        self._seen = at + len(words)

    def type(self, text: str) -> None:
        """Type a line; `\\x03` is Ctrl-C, `\\x04` the end of input."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        code = self._process.wait(TIMEOUT_S)
        assert "Traceback" not in self.text, self.text
        return code

    def _read(self, deadline: float) -> bool:
        """Take what is there; False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"nothing came in time:\n{self.text}"
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # Linux says EIO where others give an end of file
            return False
        # A read may end in the middle of a character.
        self.text += self._decoder.decode(data).replace("\r\n", "\n")
        return bool(data)
