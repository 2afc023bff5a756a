"""Whether what a worker of another machine says is true here as well.

It may have the same paths, and mean other disks: a shard on a disk of its own would be lost to
everybody else, and a file that only it cannot see would become an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from des_core.basics.errors import StorageError
from des_core.packing.tasks import TaskOutcome
from des_core.records import Reason, ShardRecord
from des_core.shard_io.bigfiles import big_file_name
from des_core.shard_io.dictionaries import copies_of
from des_core.storage.directory import Storage


class RemoteClaims:
    """Checks all outcomes where that costs a look at a directory, else the first of each worker."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._is_cheap = storage.publishes_at_once is None
        self._trusted: set[str] = set()

    def check(self, worker: str, outcomes: Iterable[TaskOutcome]) -> None:
        """`StorageError` where a worker plainly works on other disks than we do."""
        for outcome in outcomes:
            if worker not in self._trusted:
                self._check_shards(worker, outcome.shards)
            if self._is_cheap:
                for name in map(big_file_name, outcome.bigfiles):
                    self._expect(worker, name)
                for name in outcome.dictionaries:
                    self._expect(worker, *copies_of(name))
            self._check_missing(worker, outcome)
            if outcome.shards and not self._is_cheap:
                self._trusted.add(worker)

    def _check_shards(self, worker: str, shards: Iterable[ShardRecord]) -> None:
        for shard in shards:
            self._expect(worker, shard.name)

    def _expect(self, worker: str, *names: str) -> None:
        """One of them is enough: a worker reads a dictionary from either copy."""
        if not any(map(self._storage.exists, names)):
            raise StorageError(
                "a worker published a file that is not in our output directory",
                hint="packer.output_dir must be the same place for the runner and all workers: "
                "a shared file system or an object store",
                worker=worker,
                output_dir=self._storage.output_dir,
                file=names[0],
            )

    def _check_missing(self, worker: str, outcome: TaskOutcome) -> None:
        missing = next((f for f in outcome.failures if f.reason is Reason.MISSING), None)
        if missing is None or not missing.location:
            return
        if _is_there(missing.location):
            raise StorageError(
                "a worker does not see a file that is there",
                hint="mount the disks of the sources on every worker, under the same paths",
                worker=worker,
                path=missing.location,
            )


def _is_there(location: str) -> bool:
    """What cannot be a path is not there: names come from rows."""
    try:
        return location.startswith("/") and Path(location).exists()
    except (OSError, ValueError):
        return False
