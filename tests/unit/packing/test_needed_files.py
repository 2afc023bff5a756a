"""A needed file is known under every name, and what cannot be looked at is never taken for gone."""

import os
import unicodedata
from pathlib import Path

import pytest

from des_core.rows.values import location_text, storable
from des_core.sources.needed import NeededFiles

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "File Ä"
    path.write_bytes(b"x")
    return path


def needs(location: str, file: Path) -> bool:
    needed = NeededFiles()
    needed.add([location])
    assert needed.undecided is None
    return needed.needs(str(file), file.stat())


def test_every_name_of_it(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "way").symlink_to("d")
    (tmp_path / "hard").hardlink_to(file)
    for name in ("link", "way/File Ä", "hard", "d//File Ä", "d/./../d/File Ä"):
        assert needs(f"{tmp_path}/{name}", file), name
    assert needs(f"/proc/self/root{file}", file)
    assert needs(f"somewhere/{file.name}", file), "nobody knows where a relative path begins"


def test_a_location_that_was_no_text(tmp_path: Path) -> None:
    """SQLite keeps bytes; what is no UTF-8 stands escaped in an exception."""
    odd = tmp_path / os.fsdecode(b"d\xff\\")
    odd.mkdir()
    (tmp_path / "way").symlink_to(odd)
    (odd / "f").write_bytes(b"x")
    file = tmp_path / "way" / "f"
    for location in (location_text(os.fsencode(odd / "f")), storable(str(odd / "f"))):
        assert location is not None
        assert needs(location, file), location


@pytest.mark.parametrize("end", ["\r", " ", "\n", "\t", "\0"])
def test_a_missing_file_with_an_end_that_nobody_sees(file: Path, end: str) -> None:
    assert needs(f"{file}{end}", file)


@pytest.mark.parametrize(
    "written",
    [
        "file://{}/File%20%C3%84",
        "file://localhost{}/File%20Ä",
        "file://{}/File Ä?v=2",
        "file://{}/File Ä#page=3",
        "{}/File%20%c3%84",
        "{}/File Ä?v=2",
        "{}/File%20Ä#page=3",
        "Z:\\docs\\File Ä",
        "\\\\server\\share\\FILE ä",
        "docs/File Ä\r",
    ],
)
def test_a_location_as_a_url_or_as_another_system_writes_it(file: Path, written: str) -> None:
    """It cannot be packed; the application that wrote it knows which file it means."""
    assert needs(written.format(file.parent), file)


def test_other_files_are_not(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "d" / "File").write_bytes(b"x")
    nothing = (
        f"{tmp_path}/d/File",
        f"{tmp_path}/d%20",
        str(tmp_path / "other"),
        str(tmp_path / "gone"),
        str(tmp_path / "loop"),
    )
    for location in (*nothing, "", "/a\0b", "/" + "x" * 5000, "s3://bucket/File Ä", "/\udcff"):
        assert not needs(location, file), location


def test_a_missing_file_of_a_name_that_some_file_systems_take_for_the_same(file: Path) -> None:
    """The disk that takes them for one may just not be mounted."""
    decomposed = unicodedata.normalize("NFD", file.name)
    for name in (file.name.upper(), file.name.lower(), decomposed, decomposed.upper()):
        assert needs(f"{file.parent}/{name}", file), name


def test_what_cannot_be_looked_at_decides_nothing(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user here")
    file.parent.chmod(0o700)
    needed = NeededFiles()
    os.seteuid(NOBODY)
    try:
        needed.add([str(file)])
    finally:
        os.seteuid(0)
    assert needed.undecided == str(file)
