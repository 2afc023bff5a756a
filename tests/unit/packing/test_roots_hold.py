"""Roots against other mount namespaces, devices and changing names: with and without openat2."""

import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from des_core.records import Reason, SourceRow
from des_core.sources import beneath, roots
from des_core.sources.files import LocalSources
from des_core.sources.removal import KeptSourceError, SourceRemover
from des_core.sources.roots import SourceFailure

MS_BIND, MNT_DETACH = 4096, 2


@pytest.fixture(params=["openat2", "part by part"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "openat2":
        if not beneath.has_openat2():
            pytest.skip("this kernel has no openat2, or a sandbox forbids it")
        return
    monkeypatch.setattr(beneath, "has_openat2", lambda: False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("inside/deep", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"content")
    return tmp_path


def sources_of(place: Path) -> LocalSources:
    return LocalSources(1 << 20, (f"{place}/inside",))


def reason_for(sources: LocalSources, path: str) -> Reason:
    try:
        sources.read(path, None)
    except SourceFailure as failure:  # as it is caught in a run: nothing of it stays
        return failure.reason
    pytest.fail("it was read")


@pytest.fixture
def other_namespace(place: Path) -> Iterator[int]:
    """A process that sees another directory at the path of our root."""
    script = f"mount -t tmpfs none {place}/inside && mkdir {place}/inside/deep && "
    script += f"printf FOREIGN > {place}/inside/deep/file && echo ready && exec sleep 300"
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            pytest.skip("this machine lets nobody mount")
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_another_mount_namespace(place: Path, other_namespace: int) -> None:
    foreign = f"/proc/{other_namespace}/root{place}/inside/deep/file"
    assert Path(foreign).read_bytes() == b"FOREIGN"
    (place / "inside/link").symlink_to(foreign)
    for path in (foreign, f"{place}/inside/link"):
        assert reason_for(sources_of(place), path) is Reason.OUTSIDE_ROOTS
        with pytest.raises(KeptSourceError):
            SourceRemover([f"{place}/inside"]).remove(path, iter([b"FOREIGN"]))
    assert Path(foreign).read_bytes() == b"FOREIGN"


def test_a_fifo_is_not_even_opened(place: Path) -> None:
    """Whoever waits for a reader goes on waiting: with a device, opening alone may do something."""
    os.mkfifo(place / "inside/fifo")
    with pytest.raises(OSError, match="No such device"):
        os.open(place / "inside/fifo", os.O_WRONLY | os.O_NONBLOCK)
    sources = sources_of(place)
    found = threading.Event()
    stop = threading.Event()

    def look_for_readers() -> None:
        while not stop.is_set():
            with suppress(OSError):
                os.close(os.open(place / "inside/fifo", os.O_WRONLY | os.O_NONBLOCK))
                found.set()

    watcher = threading.Thread(target=look_for_readers)
    watcher.start()
    try:
        for _ in range(2000):
            assert reason_for(sources, f"{place}/inside/fifo") is Reason.NOT_REGULAR
    finally:
        stop.set()
        watcher.join()
    assert not found.is_set()


def test_a_path_longer_than_any(place: Path) -> None:
    """The kernel cannot say where it is: this row fails, the run goes on."""
    here = Path.cwd()
    directory = place / "inside"
    try:
        os.chdir(directory)
        for _ in range(40):
            Path("x" * 200).mkdir()
            os.chdir("x" * 200)
        fd = os.open(".", os.O_PATH)
    finally:
        os.chdir(here)
    try:
        with pytest.raises(SourceFailure) as caught:
            roots.SourceRoots((f"{place}/inside",))._open_again(fd)
        assert caught.value.reason is Reason.OUTSIDE_ROOTS
    finally:
        os.close(fd)
        shutil.rmtree(directory)


def swap_link(place: Path) -> None:
    """`deep` is the directory, then a link to the outside, then the directory again."""
    deep, hidden, way = place / "inside/deep", place / "inside/hidden", place / "inside/way"
    deep.rename(hidden)
    way.rename(deep)
    deep.rename(way)
    hidden.rename(deep)


def swap_file(place: Path) -> None:
    """The file is a link to the outside, then itself."""
    name, kept = place / "inside/deep/file", place / "inside/deep/kept"
    with suppress(FileNotFoundError):
        name.rename(kept)
    name.symlink_to("../../outside/file")
    name.unlink()
    with suppress(FileNotFoundError):
        kept.rename(name)


@contextmanager
def always(change: Callable[[], None]) -> Iterator[list[BaseException]]:
    """A thread that goes on changing until the end of the block; what it met."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def keep_changing() -> None:
        try:
            while not stop.is_set():
                change()
        except BaseException as exc:
            failures.append(exc)

    changer = threading.Thread(target=keep_changing)
    changer.start()
    try:
        yield failures
    finally:
        stop.set()
        changer.join()


@pytest.mark.parametrize("change", [swap_link, swap_file], ids=lambda f: f.__name__)
def test_names_that_change_all_the_time(
    place: Path, change: Callable[[Path], None], is_soak: bool
) -> None:
    """A minute under `make soak`: nothing outside is read, nothing outside is removed."""
    (place / "outside/file").write_bytes(b"FOREIGN")
    (place / "inside/way").symlink_to("../outside")
    sources, seen, tries = sources_of(place), set(), 0
    with always(lambda: change(place)) as failures:
        until = time.monotonic() + (60 if is_soak else 2)
        while (time.monotonic() < until or tries <= 50 or not seen) and not failures:
            sources.release()
            with suppress(SourceFailure):
                seen.add(sources.read(f"{place}/inside/deep/file", 7))
            row = SourceRow("a", 0, f"{place}/inside/deep/file", 7)
            seen.update(c for c in sources.read_some([row] * 8, 99) if isinstance(c, bytes))
            remover = SourceRemover([f"{place}/inside"])
            with suppress(KeptSourceError):
                remover.remove(f"{place}/inside/deep/file", iter([b"FOREIGN"]))
            remover.close()
            tries += 1
    assert not failures
    assert seen == {b"content"}
    assert (place / "outside/file").read_bytes() == b"FOREIGN"


@pytest.fixture
def mounts(place: Path) -> Iterator[Callable[[], None]]:
    """Mounts the outside over `deep`, and takes it away again."""
    libc = ctypes.CDLL(None, use_errno=True)
    outside, deep = (os.fsencode(place / name) for name in ("outside", "inside/deep"))

    def swap_mount() -> None:
        if libc.mount(outside, deep, None, MS_BIND, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        if libc.umount2(deep, MNT_DETACH) != 0:
            raise OSError(ctypes.get_errno(), "umount")

    try:
        swap_mount()
    except OSError as exc:
        pytest.skip(f"nobody may mount here: {exc}")
    yield swap_mount
    while libc.umount2(deep, MNT_DETACH) == 0:
        pass


def test_mounts_that_come_and_go(place: Path, mounts: Callable[[], None], is_soak: bool) -> None:
    """A mount below a root may be read. What goes is what was compared, not what took its name."""
    (place / "outside/file").write_bytes(b"FOREIGN")
    deep = os.open(place / "inside/deep", os.O_PATH)
    sources, seen, removed = sources_of(place), set(), 0
    with always(mounts) as failures:
        until = time.monotonic() + (60 if is_soak else 2)
        while time.monotonic() < until and not failures:
            sources.release()
            with suppress(SourceFailure):
                seen.add(sources.read(f"{place}/inside/deep/file", 7))
            row = SourceRow("a", 0, f"{place}/inside/deep/file", 7)
            seen.update(c for c in sources.read_some([row] * 8, 99) if isinstance(c, bytes))
            remover = SourceRemover([f"{place}/inside"])
            with suppress(KeptSourceError):
                removed += remover.remove(f"{place}/inside/deep/file", iter([b"content"]))
            remover.close()
            assert (place / "outside/file").read_bytes() == b"FOREIGN"
            fd = os.open("file", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=deep)
            os.write(fd, b"content")
            os.close(fd)
    os.close(deep)
    assert not failures
    assert seen <= {b"content", b"FOREIGN"}
    assert removed > 10
