"""One family of errors: each carries its facts, a hint with the next step, and its exit code.

`des_admin` maps them to messages in one place; nothing else chooses an exit code.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the process tells its caller. The list is a promise; see docs/json.md."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NEW_EXCEPTIONS = 3
    REFUSED = 4
    DATABASE_UNREACHABLE = 10
    LOCKED = 11
    WRONG_SCHEMA = 12
    DAMAGED = 20
    INTERRUPTED = 130
    TERMINATED = 143


class DesError(Exception):
    """Base of every error that this project raises on purpose.

    `message` says what was wrong; `facts` say where (file, key, row, table, window);
    `hint` says what to do next, if possible as the command to type.
    """

    exit_code: ExitCode = ExitCode.BUG
    usual_hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint
        self.facts = {key: value for key, value in facts.items() if value is not None}

    def as_value(self) -> Self:
        """Itself without its traceback, where it is kept as a result.

        A traceback holds each function that the error came through, with what was open and read in
        it, until rubbish is collected: of thousands of errors more than the handles of a process.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def __str__(self) -> str:
        if not self.facts:
            return self.message
        where = ", ".join(f"{key}: {value}" for key, value in self.facts.items())
        return f"{self.message} ({where})"


class UsageError(DesError):
    """A flag, an argument or a value that cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """The configuration file or its environment is wrong; facts name file and key."""

    usual_hint = "correct it; docs/configuration.md has every key, its values and an example"


class Refused(DesError):
    """The job was not done, because doing it could lose something or nobody confirmed it."""

    exit_code = ExitCode.REFUSED


class CheckFailed(DesError):
    """A check found something wrong."""

    exit_code = ExitCode.REFUSED


class TooManyFailures(Refused):
    """So many files of a slice failed that the source itself must be wrong."""


class TransactionConflict(Refused):
    """Another transaction was in the way, and the server undid ours: the whole of it, again."""

    usual_hint = "run the same command again"


class DatabaseUnreachable(DesError):
    """No connection, or the connection broke and could not be had again."""

    exit_code = ExitCode.DATABASE_UNREACHABLE


class NoAnswer(DesError):
    """A database, a directory or an object store that did not answer in time."""

    exit_code = ExitCode.DATABASE_UNREACHABLE


class SchedulerUnreachable(DesError):
    """The cluster that packs for us is not there, or went away; another try may find it."""

    exit_code = ExitCode.DATABASE_UNREACHABLE


class LockHeld(DesError):
    """Somebody else holds the lock; facts name the holder."""

    exit_code = ExitCode.LOCKED


class FenceLost(LockHeld):
    """The fence or the watermark changed under us: our commit was refused, nothing was written."""


class WrongSchema(DesError):
    """A table, a column or a revision is not what this version needs."""

    exit_code = ExitCode.WRONG_SCHEMA


class NotMigrated(WrongSchema):
    """A table of this program is missing: not made yet, or taken back."""


class DamagedData(DesError):
    """Bytes that were written once do not read back as they were."""

    exit_code = ExitCode.DAMAGED


class DamagedShard(DamagedData):
    """A shard is cut, flipped or not a shard; facts name shard, entry and offset."""


class StorageError(DesError):
    """The output cannot be written or read: missing, read-only, full, wrong file system."""

    exit_code = ExitCode.REFUSED


class UnreadableFile(StorageError):
    """One file cannot be opened or read; those beside it may be sound."""


class Interrupted(DesError):
    """SIGINT: stopped at a safe point because the operator asked for it."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(DesError):
    """SIGTERM: stopped at a safe point because the supervisor asked for it."""

    exit_code = ExitCode.TERMINATED
