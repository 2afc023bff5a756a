"""Drafts: whatever is written begins as a hidden file, locked for as long as its writer lives.

It gets its name when it is durable. What a dead writer left can be told from what is under way
by the lock, and one run's drafts from another's by their names.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import BinaryIO, Protocol

from des_core.basics.storage_errors import storage_error
from des_core.storage.local_files import create_locked

_DRAFT = re.compile(r"\.tmp-(?P<run>[0-9A-Za-z]{1,32})-[0-9]+-[0-9a-f]{16}")


class Draft(Protocol):
    """A file in the making, without a name of its own yet."""

    @property
    def file(self) -> BinaryIO:
        """Where to write; unbuffered."""

    @property
    def path(self) -> str:
        """Where the draft can be opened again to be checked."""

    def sync(self) -> None:
        """Make what was written durable. `StorageError` if not: then discard the draft."""

    def discard(self) -> None:
        """Remove it; harmless when it is published or removed already."""


class LocalDraft:
    """A hidden file `.tmp-<run>-<pid>-<random>`, locked while this process has it open.

    One that is not `durable` is only a step on the way to elsewhere, so that it needs no fsync.
    """

    def __init__(self, directory: str, run_id: str, *, durable: bool = True) -> None:
        self._durable = durable
        try:
            self.path, fd = create_locked(directory, run_id)
        except OSError as exc:
            raise storage_error("cannot create a file", exc, directory) from exc
        self.file: BinaryIO = open(fd, "wb", buffering=0)  # noqa: SIM115 - see discard

    def sync(self) -> None:
        if not self._durable:
            return
        try:
            os.fsync(self.file.fileno())
        except OSError as exc:
            # The kernel may have dropped the pages: a second fsync would lie. Write it anew.
            raise storage_error("cannot make a file durable", exc, self.path) from exc

    def discard(self) -> None:
        if self.file.closed:
            return
        # What cannot be removed now is removed as a leftover, once nobody holds its lock.
        with suppress(OSError):
            os.unlink(self.path)
        self.file.close()


def new_run_id() -> str:
    """A name for one run: 32 characters, as the ledger keeps it."""
    return secrets.token_hex(16)


def draft_run(name: str) -> str | None:
    """The run that a draft with that name belongs to; None if it is not a draft's name."""
    draft = _DRAFT.fullmatch(name)
    return None if draft is None else draft["run"]
