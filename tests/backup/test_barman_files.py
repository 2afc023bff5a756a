"""What Barman's own commands pass over, in its directories."""

import struct
from pathlib import Path

import pytest

from des_core.backup.foreign.barman_files import find_catalogue_faults, read_system_id

FIRST, LAST = "000000010000000000000002", "000000010000000000000003"
LATER = "000000010000000000000004"
MIB = 1 << 20


def segment(number: int) -> bytes:
    """A megabyte that begins as WAL does."""
    head = struct.pack("<HHIQI4xQII", 0xD110, 2, 1, number << 20, 0, 7, MIB, 8192)
    return head + bytes(MIB - len(head))


@pytest.fixture
def wals(tmp_path: Path) -> Path:
    """A catalogue of three segments, a label and a history file, all there."""
    root = tmp_path / "wals"
    (root / FIRST[:16]).mkdir(parents=True)
    lines = []
    for number, name in enumerate((FIRST, f"{FIRST}.00000028.backup", LAST, LATER)):
        # The catalogue may know a segment by what was there when it came.
        (root / FIRST[:16] / name).write_bytes(segment(number))
        lines.append(f"{name}\t64\t1795832468.5\tNone\n")
    (root / "00000002.history").write_bytes(b"x" * 64)
    lines.append("00000002.history\t64\t1795832470.5\tNone\n")
    (root / "xlog.db").write_text("".join(lines))
    return root


def faults(wals: Path) -> list[str]:
    return list(find_catalogue_faults(wals / FIRST[:16] / FIRST, FIRST, LAST))


def test_whole(wals: Path) -> None:
    assert faults(wals) == []


@pytest.mark.parametrize("name", [FIRST, f"{FIRST}.00000028.backup", LATER])
def test_file_that_a_restore_copies_is_gone(wals: Path, name: str) -> None:
    """`recover` fails for each that is named, also behind the end of the backup."""
    (wals / FIRST[:16] / name).unlink()
    assert "is gone" in faults(wals)[0]


@pytest.mark.parametrize("name", [FIRST, LATER])
def test_segment_that_is_cut(wals: Path, name: str) -> None:
    path = wals / FIRST[:16] / name
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes instead of" in faults(wals)[0]


def test_compressed_segment_that_is_cut(wals: Path) -> None:
    """It says nothing of its own size: the catalogue does."""
    catalogue, path = wals / "xlog.db", wals / FIRST[:16] / LATER
    path.write_bytes(b"x" * 64)
    text = catalogue.read_text()
    catalogue.write_text(
        text.replace(f"{LATER}\t64\t1795832468.5\tNone", f"{LATER}\t64\t1.5\tgzip")
    )
    assert faults(wals) == []
    path.write_bytes(b"x" * 63)
    assert "has not the 64 bytes" in faults(wals)[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [("\t64\t", "\tv4\t"), ("None", "Nnne"), ("\n", " "), (FIRST, LATER[:-1] + "9"), (".5", ".u")],
)
def test_damaged_catalogue(wals: Path, old: str, new: str) -> None:
    catalogue = wals / "xlog.db"
    catalogue.write_text(catalogue.read_text().replace(old, new, 1))
    assert faults(wals) != []


def test_cluster_of_a_control_file(tmp_path: Path) -> None:
    control = tmp_path / "data" / "global" / "pg_control"
    assert read_system_id([control]) is None
    control.parent.mkdir(parents=True)
    control.write_bytes((7713041717651465174).to_bytes(8, "little") + bytes(100))
    assert read_system_id([tmp_path / "data" / "base", control]) == "7713041717651465174"
    assert read_system_id([tmp_path / "data" / "base"]) is None
