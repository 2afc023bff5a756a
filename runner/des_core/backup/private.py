"""Passwords for the databases' own tools: in files of mode 0600, in a directory of ours alone.

Nothing secret is ever an argument or a variable of a process. The directory is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only we can enter, removed with everything in it."""
    path = Path(tempfile.mkdtemp(prefix="des-admin-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


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
