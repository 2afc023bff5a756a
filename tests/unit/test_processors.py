"""A container's quota counts, not the processors of the machine under it."""

import os
from pathlib import Path

import pytest

from des_core.process.processors import usable_processors

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", ALLOWED), ("50000 100000", 1), ("100000 100000", 1), ("", ALLOWED)],
)
def test_quota_of_the_second_kind(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert usable_processors(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", ALLOWED), ("20000", 1), ("x", ALLOWED)])
def test_quota_of_the_first_kind(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert usable_processors(tmp_path) == expected


def test_no_quota_at_all(tmp_path: Path) -> None:
    assert usable_processors(tmp_path) == ALLOWED
    assert usable_processors(tmp_path / "nothing") == ALLOWED
