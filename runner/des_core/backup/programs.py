"""Running the databases' own tools: found, asked for their version, watched, ended for sure."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from des_core.basics.errors import CheckFailed, Refused

STDERR_KEPT = 4000
END_AFTER_S = 10.0
CHUNK_BYTES = 1 << 20
_POSTGRES_PLACES = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))


# A program of its own, because what runs between fork and exec in a process with threads may hang.
# SIGTERM, because pg_dump then ends its workers and cancels what they asked the server for.
_BOUND_TO_PARENT = """\
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(143)
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "LC_ALL": "C"})
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One tool: its path, the first line of `--version`, and the number in it."""

    path: str
    version_line: str
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def is_mariadb(self) -> bool:
        return "MariaDB" in self.version_line


def find_postgres_program(name: str, server_version: tuple[int, ...]) -> Program:
    """`pg_dump` or the like in the server's own major version, else the next newer one."""
    paths = {
        str(path / name) for root, pattern in _POSTGRES_PLACES for path in Path(root).glob(pattern)
    }
    on_path = shutil.which(name)
    paths |= {on_path} if on_path else set()
    found = [program for path in sorted(paths) if (program := _probe(path))]
    usable = [program for program in found if program.version[:1] >= server_version[:1]]
    if usable:
        return min(usable, key=lambda program: (program.version[:1], program.path))
    newest = max((program.version_line for program in found), default="none")
    raise Refused(
        f"there is no {name} of version {server_version[0]} or newer on this machine",
        hint=f"install postgresql-client-{server_version[0]}, then run the same command again",
        found=newest,
    )


def find_program(*names: str, hint: str) -> Program:
    """The first of the names that can be run."""
    for name in names:
        path = shutil.which(name)
        program = _probe(path) if path else None
        if program is not None:
            return program
    raise Refused(f"the program {names[0]} is not installed", hint=hint)


def locate(name: str, hint: str) -> str:
    """The path of a program, without running it."""
    path = shutil.which(name)
    if path is None:
        raise Refused(f"the program {name} is not installed", hint=hint)
    return path


def _probe(path: str) -> Program | None:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    line = next(iter(answer.stdout.splitlines()), "").strip()
    if answer.returncode != 0 or not line:
        return None
    return Program(path, line, read_version(line))


def read_version(text: str) -> tuple[int, ...]:
    """`(15, 18)` of `pg_dump (PostgreSQL) 15.18 (Debian …)`; MariaDB's real number, not 10.19."""
    match = re.search(r"(?:Distrib|from)\s+(\d+(?:\.\d+)*)", text) or re.search(
        r"(\d+(?:\.\d+)+|\d+)", text
    )
    return tuple(int(part) for part in match[1].split(".")) if match else (0,)


@dataclass(slots=True)
class Running:
    """A tool at work. `stderr` is kept in a file, so that it never blocks."""

    process: subprocess.Popen[bytes]
    stderr_path: Path

    @property
    def stderr(self) -> str:
        """What it said, the end of it where it said much."""
        text = self.stderr_path.read_text(encoding="utf-8", errors="replace").strip()
        return text if len(text) <= STDERR_KEPT else "… " + text[-STDERR_KEPT:]


@contextmanager
def start(
    command: Sequence[str],
    scratch: Path,
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Start a tool; on leaving the block by an exception it is ended, never left behind.

    `scratch` is a private directory. What the tool writes, only its owner can read. Where this
    process is killed, the kernel ends the tool: nothing writes on into a backup that is nobody's.
    It speaks English, because its words are read, whatever the language of the operator.
    """
    stderr_path = scratch / f"stderr-{Path(command[0]).name}-{len(list(scratch.iterdir()))}"
    with stderr_path.open("xb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOUND_TO_PARENT, str(os.getpid()), *command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            umask=0o077,
        )
    try:
        yield Running(process, stderr_path)
        process.wait()
    finally:
        _end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close_quietly(pipe)


def run_to_end(command: Sequence[str], scratch: Path) -> tuple[int, str]:
    """Exit code and stderr of a tool whose output is not wanted."""
    with start(command, scratch) as running:
        running.process.wait()
    return running.process.returncode, running.stderr


def require_success(running: Running, what: str, hint: str) -> None:
    """CheckFailed with the tool's own words where it did not end well."""
    code = running.process.returncode
    if code != 0:
        ended = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        raise CheckFailed(f"{what} failed: {ended}", hint=hint, stderr=running.stderr or None)


@contextmanager
def watched(tick: Callable[[], None], every_s: float = 0.5) -> Iterator[None]:
    """Call `tick` now and then in a thread of its own while the block runs, and once after it."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            tick()

    thread = threading.Thread(target=watch, name="des-backup-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        tick()


def written_bytes(directory: Path) -> int:
    """What a tool has written so far; files may come and go meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """First so that it can end workers and queries of its own."""
    for stop in (process.terminate, process.kill):
        if process.poll() is None:
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=END_AFTER_S)


def _close_quietly(pipe: Any) -> None:
    # Where the reader is gone, its exit code tells; what was still buffered has no reader.
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
