"""What a cluster answers cannot run code in the runner, whoever gives the answer."""

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import DatabaseUnreachable, StorageError, UsageError
from des_core.packing.dask_pickles import Inert, PickleRefused, loads, refuse_foreign_pickles
from des_core.packing.pack_worker import Reply
from des_core.packing.remote_answer import BadAnswer, decode_reply, encode_reply
from des_core.packing.row_groups import _encode_group
from des_core.packing.tasks import ShardTask, TaskOutcome
from des_core.records import FileFailure, Reason, ShardRecord, SourceRow
from support.pages.endpoints import wait_until
from support.program.dask_cluster import dask_cluster
from support.program.runner import ROOT, environment
from support.shards.packing import Corpus, pack_rows

DAY = date(2024, 3, 1)
ROWS = [SourceRow(f"u{n}", n, f"/x/\udc80{n}", n) for n in range(3)]
TASK = ShardTask(DAY, 3, _encode_group(0, ROWS).encoded or b"", count=3)
SHARD = ShardRecord("20240301_3_0000.des", DAY, 3, 0, 2, 10, 20, "a" * 64)
FAILED = FileFailure("u2", 2, "/x/\udc802", Reason.MISSING, "gone \udcff")
OUTCOME = TaskOutcome((SHARD,), (), 2, 0, 10, (FAILED,), ("b" * 64,))


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


class ByName:
    """A member of an enumeration, as Python 3.11.2 pickles it."""

    def __init__(self, kind: object, name: str) -> None:
        self.place = kind, name

    def __reduce__(self) -> Any:
        return getattr, self.place


def read(tree: object) -> Reply:
    return decode_reply(json.dumps(tree).encode(), [TASK])[1]


def good() -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(encode_reply("tcp://w", Reply([OUTCOME])))
    return tree


def test_an_answer_is_read_as_it_was_meant() -> None:
    assert decode_reply(encode_reply("w", Reply([OUTCOME])), [TASK]) == ("w", Reply([OUTCOME]))
    error = StorageError("full", hint="df", place="/x", number=3)
    found = decode_reply(encode_reply("w", Reply([], error)), [TASK])[1].error
    assert isinstance(found, StorageError)
    assert (found.message, found.hint) == ("full", "df")
    assert found.facts == {"place": "/x", "number": "3"}
    odd = OSError(5, "odd")
    odd.add_note("in a worker")
    found = decode_reply(encode_reply("w", Reply([], odd)), [TASK])[1].error
    assert found is not None
    assert "OSError" in str(found)
    assert found.__notes__ == ["in a worker"]


def spoil_shard(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda tree: tree["outcomes"][0]["shards"][0].update(fields)


def spoil_outcome(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda tree: tree["outcomes"][0].update(fields)


def spoil_failure(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda tree: tree["outcomes"][0]["failures"][0].update(fields)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_shard(name="../../etc/x"),
        spoil_shard(name="20240301_3_0001.des"),
        spoil_shard(name="20240302_3_0000.des", day="2024-03-02"),
        spoil_shard(name="20240301_4_0000.des", bucket=4),
        spoil_shard(day="9999-99-99"),
        spoil_shard(files=-1),
        spoil_shard(files=True),
        spoil_shard(size_bytes=1 << 70),
        spoil_shard(size_bytes=1.5),
        spoil_shard(sha256="A" * 64),
        spoil_shard(sha256=None),
        spoil_outcome(files_out=3),
        spoil_outcome(files_out=1),
        spoil_outcome(files_present=3),
        spoil_outcome(bigfiles=["../x"]),
        spoil_outcome(dictionaries=["../x"]),
        spoil_outcome(shards={}),
        spoil_failure(uid="u9"),
        spoil_failure(created_us=7),
        spoil_failure(reason="packed"),
        spoil_failure(error=None),
        lambda tree: tree.update(outcomes=[]),
        lambda tree: tree["outcomes"].append(tree["outcomes"][0]),
        lambda tree: tree.pop("worker"),
        lambda tree: tree.update(worker=3),
        lambda tree: tree.update(error={"kind": "", "message": 4, "notes": []}),
        lambda tree: tree.update(error={"kind": "", "message": "", "notes": [], "facts": {"a": 1}}),
    ],
)
def test_what_is_no_answer_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    tree = good()
    assert read(tree) == Reply([OUTCOME])
    spoil(tree)
    with pytest.raises(BadAnswer):
        read(tree)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        b"",
        b"\x80\x05.",
        b"null",
        b"[]",
        b"[" * 200_000,
        b'{"worker": 1e999}',
        b"\xff",
    ],
)
def test_what_is_no_json_is_refused(answer: object) -> None:
    with pytest.raises(BadAnswer):
        decode_reply(answer, [TASK])


def test_an_error_is_one_of_ours_whatever_name_it_has() -> None:
    tree = {"worker": "w", "error": {"kind": "Popen", "message": "m", "notes": []}}
    assert type(read(tree).error).__name__ == "DesError"
    tree = {"worker": "w", "error": {"kind": "DatabaseUnreachable", "message": "m", "notes": []}}
    assert isinstance(read(tree).error, DatabaseUnreachable)


def test_pickles_are_read_only_where_they_can_run_nothing(tmp_path: Path) -> None:
    from distributed.core import Status
    from distributed.scheduler import KilledWorker, WorkerState

    mark = tmp_path / "ran"
    for value in (Evil(mark), [Evil(mark)], {"a": (Evil(mark),)}, Evil):
        with pytest.raises(PickleRefused):
            loads(pickle.dumps(value))
    for name in (
        b"os\nsystem\n",
        b"builtins\neval\n",
        b"builtins\nobject\n",
    ):
        with pytest.raises(PickleRefused):
            loads(b"c" + name + b".")
    for kind in (str, "x", ValueError("v")):
        with pytest.raises(PickleRefused, match="getattr"):
            loads(pickle.dumps(ByName(kind, "format")))
    assert loads(pickle.dumps(getattr)) is not getattr
    found = loads(pickle.dumps({"a": [b"x", 1, ValueError("v")]}))["a"]
    assert found[:2] == [b"x", 1]
    assert (type(found[2]), str(found[2])) == (ValueError, "v")
    where = WorkerState(
        address="tcp://127.0.0.1:1",
        status=ByName(Status, "running"),  # type: ignore[arg-type]
        pid=1,
        name="w",
        nthreads=1,
        memory_limit=1,
        local_directory="/",
        nanny=None,
        server_id="w",
    )
    killed = loads(pickle.dumps(KilledWorker("key", where, 3)))
    assert isinstance(killed, KilledWorker)
    assert isinstance(killed.last_worker, Inert)
    assert "key" in str(killed)
    assert not mark.exists()


def test_every_way_into_dasks_client_is_guarded(tmp_path: Path) -> None:
    from distributed.client import _handle_warn
    from distributed.core import clean_exception
    from distributed.protocol import ToPickle, dumps
    from distributed.protocol import loads as read_frames
    from distributed.protocol.serialize import Serialize

    mark = tmp_path / "ran"
    evil = pickle.dumps(Evil(mark))
    refuse_foreign_pickles()
    for wrapped in (ToPickle(Evil(mark)), Serialize(Evil(mark)), Serialize([Evil(mark)])):
        with pytest.raises((PickleRefused, TypeError)):
            read_frames(dumps({"op": "x", "data": wrapped}))
    clean_exception(evil, evil)
    with pytest.raises(PickleRefused), warnings.catch_warnings():
        _handle_warn((0, {"message": evil, "category": evil}))
    assert not mark.exists()


CONTROL = """
import sys
from distributed import Client
from des_core.packing.dask_task import pack_remotely
with Client(sys.argv[1]) as client:
    future = client.submit(pack_remotely, "", b"")
    try:
        future.result()
    except Exception as exc:
        print(repr(exc))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["object", "list", "error", "bytes", "none", "{}"])
def test_a_hostile_worker_is_refused_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "source")
    for number in range(5):
        corpus.add(f"doc-{number}")
    mark = tmp_path / "ran"
    env = {
        "DES_TEST_MARK": str(mark),
        "DES_TEST_EVIL": kind,
        "PYTHONPATH": f"{environment()['PYTHONPATH']}:{ROOT / 'tests'}",
    }
    with dask_cluster(tmp_path / "dask", 0, **env) as cluster:
        cluster.start_worker("--no-nanny", "--preload", "support.program.evil_worker")
        with pytest.raises((BadAnswer, UsageError)):
            pack_rows(corpus.rows, tmp_path / "out", scheduler=cluster.address)
        assert not Path(f"{mark}-{os.getpid()}").exists()
        assert not list((tmp_path / "out").glob("*.des"))
        if kind in ("object", "list"):  # a client that is not guarded runs it
            control = subprocess.Popen(
                [sys.executable, "-c", CONTROL, cluster.address],
                env={**os.environ, **env},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                wait_until(Path(f"{mark}-{control.pid}").exists)
            finally:
                control.kill()
                control.wait()
