"""Nothing is waited for without end: a stopped server, a locked table, a mount that hangs."""

import ctypes
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from cli.conftest import Archive, Program, write_config
from cli.test_doctor import problems
from des_core.basics.errors import NoAnswer, UsageError
from des_core.basics.time_limit import within
from support.servers.database import TestDatabase

SHORT_S = 2.5
SLACK_S = 12.0
CAN_MOUNT = os.geteuid() == 0 and Path("/dev/fuse").exists()


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("des_core.checks.examination.CHECK", "des_admin.commands.progress."):
        name = "LIMIT_S" if module.endswith(".") else "_LIMIT_S"
        monkeypatch.setattr(module + name, SHORT_S)
    monkeypatch.setattr("des_core.checks.examination.ALL_LIMIT_S", 4 * SHORT_S)
    monkeypatch.setattr("des_core.basics.own_places.LOOK_LIMIT_S", SHORT_S)


def test_within_returns_raises_and_gives_up() -> None:
    assert within(5, lambda: 7) == 7
    assert within(None, lambda: 7) == 7
    with pytest.raises(UsageError):
        within(5, lambda: (_ for _ in ()).throw(UsageError("no")))
    released = Event()
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="no answer within"):
        within(0.1, lambda: released.wait(60))
    assert time.monotonic() - began < 30
    released.set()


@contextmanager
def locked(database: TestDatabase) -> Iterator[None]:
    """Somebody holds the whole table, as a migration of another team may."""
    with database.session() as session:
        session.exec_driver_sql("LOCK TABLE files IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.usefixtures("short_limits")
# The threads that were left behind leave their connections, too; a program ends with them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_table_that_somebody_has_locked(
    archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(archive.source):
        began = time.monotonic()
        found = problems(program("doctor", "--output", "json", expect=4).json)
        assert [name for name, check in found.items() if "no answer within" in check["detail"]]
        assert "no answer within" in program("progress", expect=10).err
        assert time.monotonic() - began < 6 * SHORT_S + SLACK_S
    monkeypatch.undo()  # what answers may take its time
    assert program("progress").code == 0
    for thread in threading.enumerate():
        if thread.name == "des-look":
            thread.join(SLACK_S)
    gc.collect()


def test_a_check_for_which_no_time_is_left(
    sqlite_archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All before it answered, slowly: what nobody looked at is not in order."""
    assert sqlite_archive
    monkeypatch.setattr("des_core.checks.examination.ALL_LIMIT_S", -1)
    shown = program("doctor", "--output", "json", expect=4).json
    assert not shown["healthy"]
    assert {check["status"] for check in shown["checks"]} == {"failed", "skipped"}
    assert "not examined" in program("doctor", expect=4).out


@contextmanager
def silent_server() -> Iterator[int]:
    """It takes connections and never says a word; yields its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_says_nothing(
    project: Path, program: Program, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """The driver of MySQL waited for its first words without end, in every command."""
    monkeypatch.setattr("des_core.database.connections.CONNECT_TIMEOUT_S", 2)
    with silent_server() as port:
        write_config(project, f"{scheme}://u:p@127.0.0.1:{port}/x")
        for command in ("progress", "run", "doctor", "verify", "exceptions list"):
            began = time.monotonic()
            program(*command.split(), expect=4 if command == "doctor" else 10)
            assert time.monotonic() - began < 25 + SLACK_S, command


@contextmanager
def hanging_mount(place: Path) -> Iterator[None]:
    """A FUSE mount whose daemon never answers: whoever looks at it waits."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"hangs", bytes(place), b"fuse", 0, options) != 0:
        os.close(device)
        pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    answered = threading.Lock()

    def give_up() -> None:
        """End every wait for it, once."""
        if answered.acquire(blocking=False):
            os.close(device)

    # Who waits here cannot be interrupted, not even by the time limit of a test.
    watchdog = threading.Timer(60, give_up)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        give_up()
        libc.umount2(bytes(place), 2)


@pytest.mark.skipif(not CAN_MOUNT, reason="mounts want root and /dev/fuse")
@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("which", ["output", "backups", "sources"])
def test_a_mount_that_hangs(
    sqlite_archive: Archive,
    program: Program,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    config = project / "des-admin.yaml"
    place = {"output": project / "output", "backups": tmp_path / "b"}.get(which, tmp_path / "s")
    place.mkdir(exist_ok=True)
    if which == "backups":
        config.write_text(f"{config.read_text()}backup:\n  dir: {place}\n")
    if which == "sources":
        sqlite_archive.source.execute(
            "UPDATE files SET file_location = :place || uid || '.bin'", {"place": f"{place}/"}
        )
    with hanging_mount(place):
        began = time.monotonic()
        looked = program("doctor", "--output", "json", expect=4 if which == "sources" else 10)
        assert time.monotonic() - began < 5 * SHORT_S + SLACK_S
        if which == "sources":
            found = [c["name"] for c in looked.json["checks"] if "no answer" in c["detail"]]
            assert found == ["source files"]
        else:
            assert "does not answer" in looked.err
        if which == "sources":  # which it does not look at
            monkeypatch.undo()
        program("progress", expect=0 if which == "sources" else 10)
        assert time.monotonic() - began < 7 * SHORT_S + 2 * SLACK_S
