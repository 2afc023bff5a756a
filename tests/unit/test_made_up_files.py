"""The made-up files of other tests are the same each time, and spread as they claim."""

from datetime import datetime
from pathlib import Path

import pytest

from support.rows.filesdata import FilesSpec, content_of, plan_rows


def test_the_same_seed_makes_the_same_rows(tmp_path: Path) -> None:
    spec = FilesSpec(rows=1000, days=7, ties=4)
    rows = plan_rows(spec, tmp_path)
    assert rows == plan_rows(spec, tmp_path)
    assert rows == sorted(rows, key=lambda row: row.created_at)
    midnights = [row for row in rows if row.created_at.time() == datetime.min.time()]
    assert len(midnights) == 7 * 4
    assert {row.created_at.date().day for row in rows} == set(range(1, 8))


def test_content_follows_from_uid_and_size_alone() -> None:
    contents = {uid: content_of(uid, 5000) for uid in ("1", "2", "a", "b", "c", "d", "e", "f")}
    assert all(len(content) == 5000 for content in contents.values())
    assert len(set(contents.values())) == len(contents)
    assert content_of("a", 5000) == contents["a"]
    assert content_of("a", 5000, seed=2) != contents["a"]


def test_more_holes_than_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 holes do not fit into 0 rows"):
        plan_rows(FilesSpec(rows=10, holes=5), tmp_path)
