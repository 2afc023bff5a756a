"""Passwords for the databases' own tools: in files of mode 0600, in a directory of ours alone.

Nothing secret is ever an argument or a variable of a process. The directory is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PREFIX = "des-admin-private-"


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only we can enter, removed with everything in it.

    What a killed process of ours left behind, with a password in it, goes at the next occasion.
    """
    _sweep(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            is_ours = path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid()
            if is_ours and pid.isdecimal() and not Path("/proc", pid).exists():
                shutil.rmtree(path, ignore_errors=True)


def write_pgpass(directory: Path, password: str) -> Path:
    """A libpq password file that fits every server; colons and backslashes are escaped."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return _write(directory / "pgpass", f"*:*:*:*:{escaped}\n")


def write_option_file(directory: Path, options: Mapping[str, str]) -> Path:
    """An option file of MySQL and MariaDB with a section [client]."""
    lines = [f"{name}={_quoted_option(value)}" for name, value in options.items()]
    return _write(directory / "client.cnf", "\n".join(["[client]", *lines, ""]))


def _quoted_option(value: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"}
    return '"' + "".join(escapes.get(char, char) for char in value) + '"'


def _write(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path
