"""Whatever is wrong with one row is that row's exception, and every other row is packed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from des_core.migration.apply import downgrade
from support.crash.truth import as_utc
from support.program.archive import make_archive
from support.program.scale import run_alone
from support.rows.odd import CONTENT, fill, make_rows
from support.rows.odd_proof import check, exceptions_of
from support.servers.database import TestDatabase
from support.shards.tiny_reader import read_shard

# Thousands in a soak; each kind of oddness comes many times in either.
GOOD, ODD = (5_500, 5_000) if "DES_TEST_ROUNDS" in os.environ else (700, 600)
QUICK: dict[str, Any] = {
    "migration": {"max_failures": 10_000, "max_failure_ratio": 0.9},
    "packer": {"object_store": {"retry_for": 0.5, "timeout": 0.5}},
}


def packed_uids(output: Path) -> Iterator[str]:
    for path in output.glob("*.des"):
        for uid, (content, _) in read_shard(path).items():
            assert content == CONTENT
            yield uid


def test_odd_rows_are_captured_below_the_seed_and_flagged_on_the_way_back(
    database: TestDatabase, tmp_path: Path
) -> None:
    rows = make_rows(database.kind, tmp_path / "source", 60, 120)
    fill(database, rows)
    newest = max(rows, key=lambda row: row.created_at).created_at
    last = database.value("SELECT MAX(created_at) FROM files")
    database.execute(
        "UPDATE files SET archived = :yes WHERE created_at = :at", {"yes": True, "at": last}
    )
    settings = make_archive(database, tmp_path / "out", **QUICK)
    assert len(exceptions_of(database)) == len(rows) - 1
    run_alone(settings)
    database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
    run_alone(settings)
    exceptions = exceptions_of(database)
    broken = {row.created_at for row in rows if not row.fits and row.created_at != newest}
    assert set(exceptions) == broken
    downgrade(settings)
    flags = database.rows("SELECT created_at, archived FROM files")
    assert {as_utc(moment) for moment, archived in flags if not archived} == broken


@pytest.mark.slow
def test_odd_rows_become_exceptions_and_hold_nobody_back(
    database: TestDatabase, tmp_path: Path
) -> None:
    rows = make_rows(database.kind, tmp_path / "source", GOOD, ODD)
    fill(database, rows)
    settings = make_archive(database, tmp_path / "out", **QUICK)
    report = run_alone(settings)
    assert report.has_new_exceptions
    reasons = check(rows, database, packed_uids(tmp_path / "out"))
    assert set(reasons) >= {"bad_uid", "bad_location", "missing", "not_regular", "size_mismatch"}
    database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
    again = run_alone(settings)
    assert (again.retried.packed, again.retried.gone, again.late) == (0, 0, 0)
    assert check(rows, database, packed_uids(tmp_path / "out")) == reasons
