"""What must hold after a cycle over odd rows: good ones in shards, all others as exceptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from support.crash.truth import as_utc
from support.rows.odd import OddRow
from support.servers.database import TestDatabase


def exceptions_of(config: TestDatabase) -> dict[datetime, tuple[str, str]]:
    """created_at → (reason, uid as recorded) of the open exceptions."""
    rows = config.rows(
        "SELECT created_at, reason, uid FROM des_archive_exception WHERE resolved_at IS NULL"
    )
    return {as_utc(moment): (reason, uid) for moment, reason, uid in rows}


def check(rows: list[OddRow], config: TestDatabase, packed: Iterable[str]) -> Counter[str]:
    """`packed` are the uids of all shards. How many exceptions there are of each reason."""
    exceptions, found = exceptions_of(config), Counter(packed)
    for row in rows:
        if row.fits:
            assert row.created_at not in exceptions, (row, exceptions.get(row.created_at))
            assert found[row.uid] == 1, row
        else:
            assert row.created_at in exceptions, row
    assert sum(found.values()) == sum(row.fits for row in rows)
    return Counter(reason for reason, _ in exceptions.values())
