"""Whatever is wrong with one row is that row's exception, and every other row is packed."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from des_core.migration.apply import downgrade
from support.crash.truth import as_utc
from support.program.archive import make_archive
from support.program.scale import run_alone
from support.rows.odd import CONTENT, OddRow, fill, make_rows
from support.servers.database import TestDatabase
from support.shards.tiny_reader import read_shard

# Thousands in a soak; each kind of oddness comes many times in either.
GOOD, ODD = (5_500, 5_000) if "DES_TEST_ROUNDS" in os.environ else (700, 600)
QUICK: dict[str, Any] = {
    "migration": {"max_failures": 10_000, "max_failure_ratio": 0.9},
    "packer": {"object_store": {"retry_for": 0.5, "timeout": 0.5}},
}


def exceptions_of(config: TestDatabase) -> dict[datetime, tuple[str, str]]:
    """created_at → (reason, uid as recorded) of the open exceptions."""
    rows = config.rows(
        "SELECT created_at, reason, uid FROM des_archive_exception WHERE resolved_at IS NULL"
    )
    return {as_utc(moment): (reason, uid) for moment, reason, uid in rows}


def packed_uids(output: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in output.glob("*.des"):
        for uid, (content, _) in read_shard(path).items():
            assert content == CONTENT
            found[uid] += 1
    return found


def check(rows: list[OddRow], config: TestDatabase, output: Path) -> Counter[str]:
    """Good rows are packed, all others are exceptions; how many of each reason."""
    exceptions = exceptions_of(config)
    packed = packed_uids(output)
    for row in rows:
        if row.fits:
            assert row.created_at not in exceptions, (row, exceptions.get(row.created_at))
            assert packed[row.uid] == 1, row
        else:
            assert row.created_at in exceptions, row
    assert sum(packed.values()) == sum(row.fits for row in rows)
    return Counter(reason for reason, _ in exceptions.values())


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
    reasons = check(rows, database, tmp_path / "out")
    assert set(reasons) >= {"bad_uid", "bad_location", "missing", "not_regular", "size_mismatch"}
    database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
    again = run_alone(settings)
    assert (again.retried.packed, again.retried.gone, again.late) == (0, 0, 0)
    assert check(rows, database, tmp_path / "out") == reasons
