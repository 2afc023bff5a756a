"""A worker process: takes batches of tasks from its standard input, gives outcomes back.

It ends when its input ends, at once and in the middle of anything, so that no worker outlives
the process that holds the lock. What it then leaves is a draft that nobody has locked.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import BinaryIO

from des_core.basics.errors import DesError
from des_core.packer_planner import PackerConfig
from des_core.packing.pack_task import TaskPacker
from des_core.packing.tasks import ShardTask, TaskOutcome
from des_core.process.collector import collect_rarely
from des_core.sources.mixed import MixedSources
from des_core.storage.directory import open_storage

Batch = list[ShardTask]


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """The first message to a worker."""

    config: PackerConfig
    run_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a batch: outcomes, or the error that ended it."""

    outcomes: list[TaskOutcome]
    error: Exception | None = None


def main() -> None:
    """Work until the input ends. SIGINT is the parent's to handle."""
    collect_rarely()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    inbox, outbox = _take_standard_streams()
    batches: SimpleQueue[Batch] = SimpleQueue()
    try:
        setup: WorkerSetup = _receive(inbox)
    except EOFError:
        return  # the pool was closed before there was work for this one
    threading.Thread(target=_listen, args=(inbox, batches), daemon=True).start()
    worker = BatchPacker(setup)
    while True:
        outbox.write(_as_message(worker.answer(batches.get())))
        outbox.flush()


class BatchPacker:
    """Packs batches; whatever goes wrong becomes the answer. What it needs is opened late."""

    def __init__(self, setup: WorkerSetup, check: Callable[[], None] = lambda: None) -> None:
        """`check` is called before each file and each request; what it raises ends the batch."""
        self.setup = setup
        self._check = check
        self._packer: TaskPacker | None = None

    def answer(self, batch: Batch) -> Reply:
        """The outcomes, or what went wrong."""
        try:
            if self._packer is None:
                self._packer = self._open()
            return Reply(self._packer.pack(batch))
        except Exception as exc:
            if not isinstance(exc, DesError):
                exc.add_note("in a worker:\n" + "".join(traceback.format_exception(exc)))
            return Reply([], exc)

    def close(self) -> None:
        """End its threads."""
        if self._packer is not None:
            self._packer.close()

    def _open(self) -> TaskPacker:
        config, check = self.setup.config, self._check
        storage = open_storage(config, self.setup.run_id, check)
        return TaskPacker(config, storage, MixedSources(config, check), check)


def _take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for ourselves, so that nothing printed by accident gets between."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return inbox, outbox


def _listen(inbox: BinaryIO, batches: SimpleQueue[Batch]) -> None:
    try:
        while True:
            batches.put(_receive(inbox))
    finally:
        os._exit(0)


def _receive(inbox: BinaryIO):  # type: ignore[no-untyped-def]
    return pickle.load(inbox)  # noqa: S301 - our own parent wrote it


def _as_message(reply: Reply) -> bytes:
    try:
        return pickle.dumps(reply)
    except (pickle.PicklingError, TypeError, AttributeError):
        exc = reply.error
        return pickle.dumps(Reply([], DesError(str(exc), worker_error=type(exc).__name__)))


if __name__ == "__main__":
    sys.exit("started by the packer only")
