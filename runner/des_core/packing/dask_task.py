"""What a Dask worker runs: one batch of tasks, with the settings that came along.

Its arguments and its answer are plain bytes, so that the scheduler, which has a look at whatever
passes through it, needs nothing of ours. Imports at the top are Python's own for the same reason.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from des_core.packing.pack_worker import BatchPacker, WorkerSetup

_mine = threading.local()


def python_sources() -> dict[str, bytes]:
    """The code of this package: path within it → content. Also where it lies in a zip file."""
    return dict(sorted(_walk(files("des_core"), "")))


def _walk(directory: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name != "__pycache__" and not entry.name.startswith("_"):
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found


def _digest() -> str:
    digest = hashlib.sha256()
    for name, content in python_sources().items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


# Of the code that is loaded, not of what may lie on the disk by the time that somebody asks.
CODE = _digest()


def pack_remotely(code: str, message: bytes) -> bytes:
    """Pack the batch in `message`, a pickled `(WorkerSetup, Batch)`; the answer is JSON."""
    from distributed import get_worker

    from des_core.packing.pack_worker import Reply
    from des_core.packing.remote_answer import encode_reply

    worker = get_worker()
    name = str(worker.address)
    if code != CODE:
        from des_core.basics.errors import UsageError

        error = UsageError(
            "a Dask worker has loaded des-admin's code of another version",
            hint="restart the workers, then run again",
        )
        return encode_reply(name, Reply([], error))
    setup, batch = pickle.loads(message)  # noqa: S301 - our own runner wrote it
    packer = _packer_for(setup)
    _mine.task.begin(worker, worker.get_current_task())
    return encode_reply(name, packer.answer(batch))


def _packer_for(setup: WorkerSetup) -> BatchPacker:
    """This thread's, with what it keeps open; another run gets a new one."""
    from des_core.packing.pack_worker import BatchPacker

    packer: BatchPacker | None = getattr(_mine, "packer", None)
    if packer is None or packer.setup != setup:
        if packer is not None:
            packer.close()
        _mine.task = _CurrentTask()
        packer = _mine.packer = BatchPacker(setup, check=_mine.task.check)
        _clean_scratch(setup)
    return packer


def _clean_scratch(setup: WorkerSetup) -> None:
    """With an object store, drafts are files of this machine, where no runner would find them."""
    from des_core.storage.directory import open_storage

    storage = open_storage(setup.config, setup.run_id)
    if storage.publishes_at_once is not None:
        storage.clean_scratch()


class TaskCancelled(Exception):
    """Nobody waits for the result any more: the runner stopped or died, or another has the task."""


class _CurrentTask:
    """The task of a thread, and of the threads that work for it."""

    def __init__(self) -> None:
        self._worker: Any = None
        self._key: Any = None

    def begin(self, worker: Any, key: Any) -> None:
        self._worker, self._key = worker, key

    def check(self) -> None:
        """Called before each file and each request: end a task that the scheduler took back."""
        task = self._worker.state.tasks.get(self._key) if self._worker is not None else None
        if task is not None and task.state in ("cancelled", "resumed"):
            raise TaskCancelled(str(self._key))
