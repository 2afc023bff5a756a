"""Packs on a Dask cluster: an engine beside the process pool, for as many machines as there are.

A scheduler runs a task again when its worker dies, and may run it twice; that is harmless, because
a task publishes nothing that it would not publish again, byte for byte. So what a cluster can do
to an archive is to be slow, and these are the ways in which it could yet deceive us:

1. A worker may not share our output directory or our source disks: what it says it published is
   looked up from here, and what it says is missing too.
2. A worker may have other code: ours is sent along, and each task says which code it wants.
3. A batch may kill every worker that tries it: its tasks are then tried one by one, and the files
   of the one that does it become exceptions.
4. Workers or the scheduler may go away: then the run ends, the watermark where it was.
5. Somebody else may answer: an answer is JSON that is looked at as any foreign input is, and
   nothing that comes from the cluster is unpickled here, see `dask_pickles`.
"""

from __future__ import annotations

import ipaddress
import pickle
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from des_core.basics.errors import ConfigError, DesError, SchedulerUnreachable, UsageError
from des_core.packing.dask_pickles import last_refusal, refuse_foreign_pickles
from des_core.packing.dask_task import CODE, pack_remotely, python_sources
from des_core.packing.pack_worker import Batch, WorkerSetup
from des_core.packing.poisoned_task import fail_unpacked
from des_core.packing.remote_answer import BadAnswer, decode_reply
from des_core.packing.remote_claims import RemoteClaims
from des_core.packing.tasks import TaskOutcome
from des_core.storage.directory import open_storage

if TYPE_CHECKING:
    from concurrent.futures import Future

CONNECT_TIMEOUT_S = 10.0
FIRST_WORKER_WITHIN_S = 60.0
NO_WORKER_FOR_S = 300.0
LOOK_EVERY_S = 0.2
COUNT_EVERY_S = 5.0
CLOSE_TIMEOUT_S = 5.0
EXTRA_HINT = "install it, here and where the workers run: pip install 'des-admin[dask]'"
START_HINT = "is it running? Start one: dask scheduler; and workers: dask worker tls://HOST:8786"


class DaskEngine:
    """Submits batches through the `concurrent.futures` interface of `distributed`."""

    def __init__(self, setup: WorkerSetup, scheduler: str) -> None:
        """Connect. `SchedulerUnreachable`; ConfigError where anybody might answer in its place."""
        if not setup.config.scheduler_without_tls:
            _require_private(scheduler)
        self._setup = setup
        self._scheduler = scheduler
        self._storage = open_storage(setup.config, setup.run_id)
        self._claims = RemoteClaims(self._storage)
        self._is_stopped = False
        self._client = _connect(scheduler)
        self._executor = self._client.get_executor(pure=False)
        self._threads = 0
        self._counted_at = self._seen_at = 0.0

    @property
    def slots(self) -> int:
        """How many batches the cluster works on at a time; waits for the first worker.

        Changes with the workers.
        """
        if not self._counted_at:
            with self._lost_scheduler():
                self._threads = self._await_worker()
                self._send_code()
            self._counted_at = self._seen_at = time.monotonic()
        return max(1, self._threads)

    def submit(self, batch: Batch) -> DaskPromise:
        return DaskPromise(self, batch, self._begin(batch))

    def prepare(self) -> None:
        """Its workers are there already."""

    def interrupt(self) -> None:
        self._is_stopped = True

    def kill(self) -> None:
        """Take back what was begun. A task that runs stops before its next file."""
        self._is_stopped = True
        with suppress(Exception):
            self._executor.shutdown(wait=False)
        self._close()

    def close(self) -> None:
        self._close()

    def result_of(self, batch: Batch, future: Future[bytes]) -> list[TaskOutcome]:
        """Wait for a batch that was begun."""
        from distributed import KilledWorker

        try:
            answer = self._wait_for(future)
        except KilledWorker as exc:
            return self._pack_singly(batch, exc)
        except ImportError as exc:
            raise UsageError(
                "a Dask worker lacks a package",
                hint="install des-admin's own requirements where the workers run",
                reason=exc,
            ) from exc
        except (CancelledError, DesError):
            raise
        except Exception as exc:
            raise BadAnswer.of(exc) from exc
        worker, reply = decode_reply(answer, batch)
        if reply.error is not None:
            if isinstance(reply.error, DesError):
                reply.error.facts.setdefault("worker", worker)
            raise reply.error
        self._claims.check(worker, reply.outcomes)
        return reply.outcomes

    def _await_worker(self) -> int:
        deadline = time.monotonic() + FIRST_WORKER_WITHIN_S
        while not (threads := self._count_threads()):
            if self._is_stopped:
                raise CancelledError
            if time.monotonic() > deadline:
                raise self._without_workers(FIRST_WORKER_WITHIN_S)
            time.sleep(LOOK_EVERY_S)
        return threads

    def _begin(self, batch: Batch) -> Future[bytes]:
        if self._is_stopped:
            raise CancelledError
        with self._lost_scheduler():
            message = pickle.dumps((self._setup, batch))
            future: Future[bytes] = self._executor.submit(pack_remotely, CODE, message)
            return future

    def _wait_for(self, future: Future[bytes]) -> bytes:
        while True:
            try:
                return future.result(timeout=LOOK_EVERY_S)
            except CancelledError as exc:
                if self._is_stopped:
                    raise
                raise self._gone() from exc
            except TimeoutError:
                if future.done():
                    raise
                self._look_around()

    def _look_around(self) -> None:
        """While waiting: has somebody stopped us, is the scheduler there, are there workers?"""
        if self._is_stopped:
            raise CancelledError
        if (refusal := last_refusal()) is not None:
            raise BadAnswer.of(refusal) from refusal
        if self._client.status != "running":
            raise self._gone()
        now = time.monotonic()
        if now - self._counted_at < COUNT_EVERY_S:
            return
        self._counted_at = now
        with self._lost_scheduler():
            self._threads = self._count_threads()
        if self._threads:
            self._seen_at = now
        elif now - self._seen_at > NO_WORKER_FOR_S:
            raise self._without_workers(NO_WORKER_FOR_S)

    def _pack_singly(self, batch: Batch, cause: Exception) -> list[TaskOutcome]:
        """The tasks of a batch that killed its workers, one at a time, to find out which it was."""
        if len(batch) == 1:
            return [fail_unpacked(batch[0], self._setup.config, self._storage, str(cause))]
        return [
            outcome for task in batch for outcome in self.result_of([task], self._begin([task]))
        ]

    def _send_code(self) -> None:
        """Workers that come later get it too, before their first task; those that have it do not.

        The scheduler looks at functions that pass through it, and needs it as well.
        """
        from distributed.diagnostics.plugin import SchedulerUploadFile, UploadFile

        with tempfile.TemporaryDirectory() as directory:
            path = _write_code(Path(directory))
            for kind in (SchedulerUploadFile, UploadFile):
                plugin = kind(str(path))
                plugin.idempotent = True
                self._client.register_plugin(plugin, name=f"{kind.__name__} {path.name}")

    def _count_threads(self) -> int:
        return sum(self._client.nthreads().values())

    def _close(self) -> None:
        with suppress(Exception):
            self._client.close(timeout=CLOSE_TIMEOUT_S)

    @contextmanager
    def _lost_scheduler(self) -> Iterator[None]:
        """Errors of the connection become ours."""
        try:
            yield
        except TimeoutError:
            raise
        except (OSError, RuntimeError) as exc:
            raise self._gone() from exc

    def _gone(self) -> SchedulerUnreachable:
        return SchedulerUnreachable(
            "the connection to the Dask scheduler was lost; the watermark is where it was",
            hint="start the scheduler, then run again: what is packed is found",
            scheduler=self._scheduler,
        )

    def _without_workers(self, seconds: float) -> SchedulerUnreachable:
        return SchedulerUnreachable(
            f"the Dask scheduler has had no workers for {seconds:.0f} s",
            hint="start some: dask worker ADDRESS --nthreads 1 --nworkers auto",
            scheduler=self._scheduler,
        )


class DaskPromise:
    """A batch under way."""

    def __init__(self, engine: DaskEngine, batch: Batch, future: Future[bytes]) -> None:
        self._engine, self._batch, self._future = engine, batch, future

    def result(self) -> list[TaskOutcome]:
        return self._engine.result_of(self._batch, self._future)


def _write_code(directory: Path) -> Path:
    """The package as a zip file from which it can be imported; the same code makes the same."""
    path = directory / f"des_core-{CODE[:16]}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in python_sources().items():
            archive.writestr(zipfile.ZipInfo(f"des_core/{name}"), content)
    return path


def _require_private(scheduler: str) -> None:
    """Whoever reaches a scheduler may run code on its workers, and answer in their place."""
    scheme, _, address = scheduler.rpartition("://")
    host = address.rpartition(":")[0].strip("[]") or address
    if scheme.lower() in ("tls", "wss"):
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(
            "a Dask scheduler on another machine is reached without TLS",
            hint="write tls://, with certificates in Dask's own configuration; or, if nobody "
            "else reaches that network: packer.scheduler_without_tls: true",
            key="packer.scheduler",
            scheduler=scheduler,
        )


def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as exc:
        raise UsageError("the engine dask needs the extra dask", hint=EXTRA_HINT) from exc
    refuse_foreign_pickles()
    try:
        return Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False, name="des-admin")
    except (OSError, TimeoutError) as exc:
        raise SchedulerUnreachable(
            "the Dask scheduler cannot be reached", hint=START_HINT, scheduler=scheduler
        ) from exc
    except (ValueError, TypeError, RuntimeError) as exc:
        raise UsageError(
            "this is not the address of a Dask scheduler",
            hint="write it like tcp://host:8786, or tls://host:8786",
            scheduler=scheduler,
        ) from exc
