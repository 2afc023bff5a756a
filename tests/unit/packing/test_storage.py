"""A directory of shards: nothing published is replaced, nothing half-made gets a name."""

import errno
import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.storage import directory, local_files
from des_core.storage.directory import DirectoryStorage


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(str(tmp_path), "run1")


def publish(storage: DirectoryStorage, name: str, content: bytes, directory: str = "") -> bool:
    draft = storage.create_draft(directory)
    draft.file.write(content)
    draft.sync()
    try:
        return storage.publish(draft, name)
    finally:
        draft.discard()


def names(storage: DirectoryStorage) -> list[str]:
    return sorted(os.listdir(storage.output_dir))  # noqa: PTH208


def test_publish_gives_the_name(storage: DirectoryStorage, tmp_path: Path) -> None:
    assert publish(storage, "a.des", b"content")
    assert names(storage) == ["a.des"]
    assert (tmp_path / "a.des").read_bytes() == b"content"
    assert (tmp_path / "a.des").stat().st_nlink == 1


def test_equal_bytes_under_the_name_are_as_good(storage: DirectoryStorage) -> None:
    publish(storage, "a.des", b"content")
    assert not publish(storage, "a.des", b"content")
    assert names(storage) == ["a.des"]


@pytest.mark.parametrize("other", [b"CONTENT", b"content and more", b""])
def test_other_bytes_under_the_name_stay(
    storage: DirectoryStorage, tmp_path: Path, other: bytes
) -> None:
    (tmp_path / "a.des").write_bytes(other)
    with pytest.raises(StorageError) as caught:
        publish(storage, "a.des", b"content")
    assert "a.des" in str(caught.value)
    assert caught.value.hint
    assert (tmp_path / "a.des").read_bytes() == other
    assert names(storage) == ["a.des"]


@pytest.mark.parametrize("kind", ["symlink", "dangling", "directory", "fifo"])
def test_whatever_has_the_name_stays(storage: DirectoryStorage, tmp_path: Path, kind: str) -> None:
    name = tmp_path / "a.des"
    if kind == "symlink":
        (tmp_path / "b").write_bytes(b"other")
        name.symlink_to("b")
    elif kind == "dangling":
        name.symlink_to("nowhere")
    elif kind == "directory":
        name.mkdir()
    else:
        os.mkfifo(name)
    before = name.lstat()
    with pytest.raises(StorageError):
        publish(storage, "a.des", b"content")
    assert name.lstat().st_ino == before.st_ino


def test_without_hard_links_a_rename_that_replaces_nothing(
    storage: DirectoryStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(local_files.os, "link", no_links)
    assert publish(storage, "a.des", b"content")
    assert not publish(storage, "a.des", b"content")
    with pytest.raises(StorageError):
        publish(storage, "a.des", b"other")
    assert names(storage) == ["a.des"]
    assert (tmp_path / "a.des").read_bytes() == b"content"


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_modes_honour_the_umask(
    storage: DirectoryStorage, tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        publish(storage, "a.des", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.des").stat().st_mode) == mode


def test_a_failed_fsync_is_not_tried_again(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fsync(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    draft = storage.create_draft()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError):
        draft.sync()
    draft.discard()
    assert len(calls) == 1
    assert names(storage) == []


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_an_output_directory_that_is_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "output"
    if kind == "file":
        path.write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        DirectoryStorage(str(path))
    assert "output_dir" in (caught.value.hint or "")


def test_probe_leaves_nothing(storage: DirectoryStorage) -> None:
    storage.probe_writable()
    assert names(storage) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_probe_of_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StorageError) as caught:
            DirectoryStorage(str(tmp_path)).probe_writable()
    finally:
        tmp_path.chmod(0o755)
    assert "right to write" in (caught.value.hint or "")


def test_listing_knows_shards_from_other_files(storage: DirectoryStorage, tmp_path: Path) -> None:
    for name in (
        *("20240301_0A_0000.des", "20240301_0A_0010.des", "20240301_0A_0002.des"),
        *("20240302_FF_0000.des", "20240301_0a_0000.des", "20249901_0A_0000.des"),
        *("20240301_0A_0000.des.bak", ".tmp-x-1-0123456789abcdef", "README"),
    ):
        (tmp_path / name).write_bytes(b"")
    first = (date(2024, 3, 1), 10)
    expected = tuple(f"20240301_0A_{part:04d}.des" for part in (0, 2, 10))
    assert storage.list_shards([date(2024, 3, 1)]) == {first: expected}
    everything = storage.list_shards()
    assert everything == {first: expected, (date(2024, 3, 2), 255): ("20240302_FF_0000.des",)}


_HOLD_A_DRAFT = """
import sys
from des_core.storage.directory import DirectoryStorage
draft = DirectoryStorage(sys.argv[1], sys.argv[2]).create_draft(sys.argv[3])
draft.file.write(b"half a shard")
print("ready", flush=True)
sys.stdin.read()
"""


def test_drafts_of_the_dead_are_removed_and_only_those(
    storage: DirectoryStorage, tmp_path: Path
) -> None:
    def hold(directory: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD_A_DRAFT, str(tmp_path), "run2", directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    dead, alive = [hold(""), hold("_bigFiles")], hold("")
    for process in dead:
        process.kill()
        process.communicate()
    (tmp_path / ".tmp-of-somebody-else").write_bytes(b"")
    (tmp_path / "20240301_0A_0000.des").write_bytes(b"")
    mine = storage.create_draft()
    assert storage.clean_leftovers("run9") == 0
    assert storage.clean_leftovers() == 2
    assert len(names(storage)) == 5
    alive.kill()
    alive.communicate()
    mine.discard()
    assert storage.clean_leftovers() == 1
    assert names(storage) == [".tmp-of-somebody-else", "20240301_0A_0000.des", "_bigFiles"]


def test_a_draft_that_is_published_under_a_second_name_by_a_crash_is_a_leftover(
    storage: DirectoryStorage, tmp_path: Path
) -> None:
    publish(storage, "a.des", b"content")
    leftover = ".tmp-run1-1-0123456789abcdef"
    (tmp_path / leftover).hardlink_to(tmp_path / "a.des")
    assert storage.clean_leftovers() == 1
    assert names(storage) == ["a.des"]


def test_a_directory_that_another_process_made_becomes_durable_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later only the directory that something was published in is synced."""
    storage, other = (DirectoryStorage(str(tmp_path), run) for run in ("run1", "run2"))
    publish(other, "_manifests/a.json", b"{}", "_manifests")
    synced: list[str] = []
    monkeypatch.setattr(directory, "sync_path", synced.append)
    publish(storage, "_manifests/b.json", b"{}", "_manifests")
    storage.sync_directory("_manifests")
    assert synced == [f"{tmp_path}/", f"{tmp_path}/_manifests"]
    storage.sync_directory("_manifests")
    assert synced[2:] == [f"{tmp_path}/_manifests"]
    storage.sync_directory()
    assert synced[3:] == [f"{tmp_path}/", f"{tmp_path}/_manifests"]
