"""As `db/test_odd_rows.py`, with locations in an object store, alone and beside files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.objects.server import ObjectServer
from support.objects.table import BUCKET, OUTPUT, bucket_settings, fetch_archive, odd_places
from support.program.scale import run_alone
from support.rows.odd import CONTENT, fill, make_rows
from support.rows.odd_proof import check
from support.servers.database import TestDatabase
from support.shards.tiny_reader import read_shard

# Thousands in a soak; each kind of oddness comes many times in either.
GOOD, ODD = (1_100, 1_000) if "DES_TEST_ROUNDS" in os.environ else (100, 200)


def packed_uids(bucket: ObjectServer, fetched: Path) -> Iterator[str]:
    """Of the archive in the bucket."""
    assert any(key.startswith(f"{OUTPUT}/_manifests/") for key in bucket.objects())
    for path in fetch_archive(bucket, fetched).glob("*.des"):
        for uid, (content, _) in read_shard(path).items():
            assert content == CONTENT
            yield uid


@pytest.mark.slow
@pytest.mark.parametrize("beside_files", [False, True], ids=["objects", "mixed"])
def test_odd_rows_become_exceptions_and_hold_nobody_back(
    beside_files: bool, database: TestDatabase, bucket: ObjectServer, tmp_path: Path
) -> None:
    places = odd_places(bucket)
    rows = make_rows(
        database.kind,
        tmp_path / "source",
        GOOD,
        ODD,
        more_places=places,
        are_local=beside_files,
    )
    fill(database, rows)
    settings = bucket_settings(
        database,
        tmp_path,
        bucket.url,
        object_store={"retry_for": 0.5},
        migration={"max_failures": 10_000, "max_failure_ratio": 0.9},
        source_roots=["/", f"s3://{BUCKET}", "s3://absent"],
    )
    report = run_alone(settings)
    assert report.has_new_exceptions
    reasons = check(rows, database, packed_uids(bucket, tmp_path / "first"))
    expected = {"bad_uid", "bad_location", "missing", "unreadable", "size_mismatch"}
    assert set(reasons) >= expected | {"outside_roots"}
    database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
    again = run_alone(settings)
    assert (again.retried.packed, again.retried.gone, again.late) == (0, 0, 0)
    assert check(rows, database, packed_uids(bucket, tmp_path / "again")) == reasons
