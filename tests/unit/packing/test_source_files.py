"""Whatever stands at a location: it is read whole, or there is a reason; nothing blocks."""

import os
import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.records import Reason, SourceRow
from des_core.sources.files import LocalSources
from des_core.sources.roots import SourceFailure
from support.shards.packing import Corpus, pack_rows


def reason_for(sources: LocalSources, location: str | None, size: int | None = None) -> Reason:
    with pytest.raises(SourceFailure) as caught:
        sources.read(location, size)
    return caught.value.reason


@pytest.fixture(params=[False, True], ids=["anywhere", "roots"])
def sources(request: pytest.FixtureRequest, tmp_path: Path) -> LocalSources:
    return LocalSources(1 << 20, (str(tmp_path),) if request.param else ())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("content", [b"", b"x", b"y" * 70_000])
def test_a_file_is_read_whole(sources: LocalSources, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sources.read(str(path), None) == content
    assert sources.read(str(path), len(content)) == content


@pytest.mark.parametrize(
    "location",
    ["", None, "relative/file", "s3://bucket/key", "file:///etc/passwd", "/nul\0byte", "/\ud800"],
)
def test_a_location_that_is_no_absolute_path(sources: LocalSources, location: str | None) -> None:
    assert reason_for(sources, location) is Reason.BAD_LOCATION


def test_failures_that_are_kept_hold_no_directory_open(
    sources: LocalSources, tmp_path: Path
) -> None:
    """A slice may lack files in more directories than a process has handles."""
    rows = [SourceRow(f"{number}", 0, f"{tmp_path}/{number}/lost", 7) for number in range(300)]
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    kept = sources.read_some(rows, 1 << 20)
    sources.release()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before
    assert {failure.reason for failure in kept if isinstance(failure, SourceFailure)} == {
        Reason.MISSING
    }


def test_a_path_too_long_for_the_kernel(sources: LocalSources, tmp_path: Path) -> None:
    assert reason_for(sources, f"{tmp_path}/{'x' * 5000}") is Reason.BAD_LOCATION


def test_odd_names_are_names(sources: LocalSources, tmp_path: Path) -> None:
    for name in ("a b", "new\nline", "😀", "100%", "'q'", '"', "\\"):
        (tmp_path / name).write_bytes(name.encode())
        assert sources.read(f"{tmp_path}/{name}", None) == name.encode()


def test_missing(sources: LocalSources, tmp_path: Path, file: Path) -> None:
    assert reason_for(sources, f"{tmp_path}/nothing") is Reason.MISSING
    assert reason_for(sources, f"{tmp_path}/no/directory") is Reason.MISSING
    assert reason_for(sources, f"{file}/below-a-file") is Reason.MISSING


def test_a_dangling_symlink_is_missing(sources: LocalSources, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert reason_for(sources, f"{tmp_path}/link") is Reason.MISSING


def test_not_regular(sources: LocalSources, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    directory = os.open(tmp_path, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{directory}/socket")
    os.close(directory)
    try:
        for name in ("fifo", "directory", "directory/", "directory/.", "socket"):
            assert reason_for(sources, f"{tmp_path}/{name}") is Reason.NOT_REGULAR, name
    finally:
        listener.close()


def test_a_device_is_not_regular() -> None:
    assert reason_for(LocalSources(1 << 20), "/dev/null") is Reason.NOT_REGULAR
    assert reason_for(LocalSources(1 << 20, ("/dev",)), "/dev/null") is Reason.NOT_REGULAR


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_as_a_user(sources: LocalSources, file: Path) -> None:
    file.chmod(0)
    assert reason_for(sources, str(file)) is Reason.UNREADABLE


def test_an_error_of_reading_is_unreadable() -> None:
    assert reason_for(LocalSources(1 << 20), "/proc/self/mem") in (
        Reason.UNREADABLE,
        Reason.CHANGED,
    )


@pytest.mark.parametrize("size", [0, 6, 8, -1])
def test_size_mismatch(sources: LocalSources, file: Path, size: int) -> None:
    assert reason_for(sources, str(file), size) is Reason.SIZE_MISMATCH


def test_many_are_read_as_each_alone(sources: LocalSources, tmp_path: Path) -> None:
    """The loop that reads what is plain refuses and takes what `read` does, with the same words."""
    (tmp_path / "zażółć").write_bytes(b"content")
    (tmp_path / "link").symlink_to("zażółć")
    (tmp_path / "way").symlink_to(".")
    os.mkfifo(tmp_path / "fifo")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"content")
    long = str(tmp_path) + "/." * ((4096 - len(str(tmp_path)) - 7) // 2)
    names = (
        "zażółć",
        "link",
        "way/zażółć",
        "fifo",
        "",
        ".",
        "..",
        "nul\0",
        "no",
        "\udcff",
        "\ud800",
    )
    locations = [None, "", "/", "relative", *(f"{tmp_path}/{name}" for name in names)]
    locations += [f"{long}/zażółć"[:4095], f"{long}//zażółć", f"{long}///zażółć", "/zażółć"]
    rows = [SourceRow("a", 0, path, size) for path in locations for size in (None, 7, 8, -1)]
    for _ in range(2):  # with closed directories and open ones
        for row, content in zip(rows, sources.read_some(rows, 1 << 20), strict=True):
            assert _as_said(content) == _as_said(
                sources._read_or_fail(row.location, row.size_bytes)
            )


def _as_said(content: object) -> object:
    is_failure = isinstance(content, SourceFailure)
    return (content.reason, str(content)) if is_failure else content


SIZES_THAT_LIE = ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"]


@pytest.mark.parametrize("path", SIZES_THAT_LIE)
def test_a_file_whose_size_is_not_its_content(path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    content = Path(path).read_bytes()
    said = Path(path).stat().st_size
    assert said != len(content)
    sources = LocalSources(1 << 20)
    assert sources.read_some([SourceRow("a", 0, path, None)], 1 << 20) == [content]
    for size in (None, len(content), said):
        assert sources.read(path, size) == content
    assert reason_for(sources, path, len(content) + 1) is Reason.SIZE_MISMATCH
    big = LocalSources(8).read(path, len(content))
    assert not isinstance(big, bytes)
    target = BytesIO()
    assert big.copy_to(target).size == len(content)
    assert target.getvalue() == content


def test_a_file_that_never_reads_the_same_twice() -> None:
    path = "/proc/sys/kernel/random/uuid"
    assert reason_for(LocalSources(1 << 20), path) is Reason.CHANGED
    big = LocalSources(8).read(path, None)
    assert not isinstance(big, bytes)
    with pytest.raises(SourceFailure) as caught:
        big.copy_to(BytesIO())
    assert caught.value.reason is Reason.CHANGED


@pytest.mark.parametrize(
    ("end", "name"), [(" ", "space"), ("\r", r"'\r'"), ("\xa0", "no-break space")]
)
def test_what_nobody_sees_at_the_end_of_a_location_is_said(
    sources: LocalSources, file: Path, end: str, name: str
) -> None:
    with pytest.raises(SourceFailure) as caught:
        sources.read(f"{file}{end}", None)
    assert caught.value.reason is Reason.MISSING
    assert f"the location ends with {name}" in caught.value.message


@pytest.fixture
def change_after_reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the file is overwritten with after each read in turn, while it is still open."""
    true_read = os.read
    contents: list[bytes] = []

    def read(fd: int, size: int) -> bytes:
        content = true_read(fd, size)
        if contents:
            file.write_bytes(contents.pop(0))
        return content

    monkeypatch.setattr(os, "read", read)
    return contents


@pytest.mark.parametrize("new", [b"longer content", b"short", b"CONTENT"])
def test_a_file_that_keeps_changing(
    file: Path, change_after_reads: list[bytes], new: bytes
) -> None:
    change_after_reads.extend([new] * 9)
    assert reason_for(LocalSources(1 << 20), str(file)) is Reason.CHANGED


def test_a_file_that_changed_once_is_read_again(
    file: Path, change_after_reads: list[bytes]
) -> None:
    change_after_reads.append(b"new content")
    assert LocalSources(1 << 20).read(str(file), None) == b"new content"


def test_running_out_of_file_handles_is_nobodys_fault(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sources = LocalSources(1 << 20)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(StorageError) as caught:
            sources.read(str(file), None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in (caught.value.hint or "")


class TestRoots:
    """Files outside the configured roots are not read, whatever leads there."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        for name in ("inside/deep", "outside", "inside-too"):
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "file").write_bytes(b"content")
        return tmp_path

    @pytest.fixture
    def sources(self, place: Path) -> Iterator[LocalSources]:
        sources = LocalSources(1 << 20, (f"{place}/inside",))
        yield sources
        sources.release()

    def test_inside(self, sources: LocalSources, place: Path) -> None:
        assert sources.read(f"{place}/inside/deep/file", 7) == b"content"
        assert sources.read(f"{place}/outside/../inside/deep//file", 7) == b"content"

    @pytest.mark.parametrize(
        "location",
        [
            "outside/file",
            "inside-too/file",
            "inside/../outside/file",
            "inside/deep/../../outside/file",
        ],
    )
    def test_outside(self, sources: LocalSources, place: Path, location: str) -> None:
        assert reason_for(sources, f"{place}/{location}") is Reason.OUTSIDE_ROOTS

    def test_symlinked_directory(self, sources: LocalSources, place: Path) -> None:
        (place / "inside/out").symlink_to(place / "outside")
        (place / "outside/in").symlink_to(place / "inside")
        assert reason_for(sources, f"{place}/inside/out/file") is Reason.OUTSIDE_ROOTS
        assert sources.read(f"{place}/outside/in/deep/file", 7) == b"content"

    def test_symlinked_file(self, sources: LocalSources, place: Path) -> None:
        (place / "inside/out").symlink_to(place / "outside/file")
        (place / "inside/in").symlink_to(place / "inside/deep/file")
        (place / "inside/dir").symlink_to(place / "inside/deep")
        (place / "inside/loop").symlink_to("loop")
        os.mkfifo(place / "inside/fifo")
        (place / "inside/to-fifo").symlink_to("fifo")
        assert reason_for(sources, f"{place}/inside/out") is Reason.OUTSIDE_ROOTS
        assert sources.read(f"{place}/inside/in", 7) == b"content"
        assert reason_for(sources, f"{place}/inside/dir") is Reason.NOT_REGULAR
        assert reason_for(sources, f"{place}/inside/to-fifo") is Reason.NOT_REGULAR
        assert reason_for(sources, f"{place}/inside/loop") is Reason.UNREADABLE

    def test_magic_links_of_proc_lead_outside(self, sources: LocalSources, place: Path) -> None:
        with (place / "outside/file").open() as file:
            (place / "inside/magic").symlink_to(f"/proc/self/fd/{file.fileno()}")
            assert reason_for(sources, f"{place}/inside/magic") is Reason.OUTSIDE_ROOTS

    def test_a_root_that_is_a_symlink(self, place: Path) -> None:
        (place / "root").symlink_to("inside")
        sources = LocalSources(1 << 20, (f"{place}/root",))
        assert sources.read(f"{place}/root/deep/file", 7) == b"content"
        assert sources.read(f"{place}/inside/deep/file", 7) == b"content"

    def test_the_whole_tree_as_root(self, place: Path) -> None:
        sources = LocalSources(1 << 20, ("/",))
        assert sources.read(f"{place}/outside/file", 7) == b"content"

    def test_many_directories_cost_few_handles(self, sources: LocalSources, place: Path) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(600):
            directory = place / f"inside/{number}"
            directory.mkdir()
            (directory / "file").write_bytes(b"content")
            assert sources.read(f"{directory}/file", 7) == b"content"
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 300

    def test_a_directory_swapped_for_a_symlink_while_reading(
        self, sources: LocalSources, place: Path
    ) -> None:
        """Whatever moment the swap hits, no content comes from outside."""
        (place / "outside/file").write_bytes(b"SECRET!")
        (place / "inside/way").symlink_to("../outside")
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                (place / "inside/deep").rename(place / "inside/hidden")
                (place / "inside/way").rename(place / "inside/deep")
                (place / "inside/deep").rename(place / "inside/way")
                (place / "inside/hidden").rename(place / "inside/deep")

        swapper = threading.Thread(target=swap)
        swapper.start()
        seen = set()
        try:
            for _ in range(3000):
                sources.release()
                try:
                    seen.add(sources.read(f"{place}/inside/deep/file", 7))
                except SourceFailure as failure:
                    seen.add(failure.reason)
        finally:
            stop.set()
            swapper.join()
        assert b"SECRET!" not in seen
        assert seen & {b"content", Reason.OUTSIDE_ROOTS}
        sources.release()
        assert sources.read(f"{place}/inside/deep/file", 7) == b"content"


def test_each_reason_reaches_the_outcome(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "source")
    corpus.fill(20)
    (tmp_path / "source/directory").mkdir()
    os.mkfifo(tmp_path / "source/fifo")
    (tmp_path / "source/out").symlink_to("/etc/passwd")
    bad = {
        "missing": f"{tmp_path}/source/nothing",
        "not_regular": f"{tmp_path}/source/directory",
        "not_regular ": f"{tmp_path}/source/fifo",
        "bad_location": "",
        "bad_location ": "here/it/is",
        "outside_roots": f"{tmp_path}/source/out",
        "outside_roots ": "/etc/passwd",
    }
    for uid, location in bad.items():
        corpus.add_row(uid, location)
    corpus.add("size_mismatch")
    corpus.contents.pop("size_mismatch")
    corpus.rows[-1] = corpus.rows[-1]._replace(size_bytes=1)
    packed = pack_rows(
        corpus.rows, tmp_path / "archive", workers=2, source_roots=(str(tmp_path / "source"),)
    )
    assert packed.files_out == 20
    assert packed.reasons == {uid: uid.strip() for uid in [*bad, "size_mismatch"]}
    assert all(failure.error for failure in packed.failures)
