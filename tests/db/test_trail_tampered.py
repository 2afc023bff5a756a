"""An audit trail that somebody altered who may write everything in the database.

Whatever touches an event up to the newest kept head is found. What came after it can be altered
by whoever also computes the seals again: docs/security.md says so.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import UsageError
from des_core.basics.timestamps import canonical_text
from des_core.database.connections import Database, open_database
from des_core.ledger.events import (
    NO_HASH,
    Head,
    check_chain,
    iterate_events,
    newest_events,
    parse_head,
    read_head,
)
from des_core.ledger.events import _seal as seal
from des_core.ledger.events import _sealed_fields as sealed_fields
from des_core.ledger.trail_heads import kept_heads
from des_core.settings.config import Settings
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.progress_events import ProgressEvent

COLUMNS = ("actor", "action", "from_value", "to_value", "reason", "details")


@dataclass
class Trail:
    """The table of events, as a DBA with every right has it."""

    database: TestDatabase
    settings: Settings
    output: Path
    chance: random.Random
    older: list[bytes] = field(default_factory=list)

    def ids(self) -> list[int]:
        return [row[0] for row in self.sql("SELECT event_id FROM des_archive_event ORDER BY 1")]

    def sql(self, text: str, **values: Any) -> list[Any]:
        if text.startswith("SELECT"):
            return self.database.rows(text, values)
        self.database.execute(text, values)
        return []

    def check(self, *, with_files: bool = True) -> int | None:
        """The first event that does not fit."""
        with open_archive(self.settings) as archive, archive.config.read() as tx:
            return check_chain(tx, kept_heads(archive.storage) if with_files else ()).broken_at

    def reseal(self, first: int) -> None:
        """Compute the seals again from there on, as our own program would."""
        opened: Database = open_database(self.database.url)
        with opened.read() as tx:
            events = list(iterate_events(tx))
        opened.close()
        self.sql(
            "UPDATE des_archive_event SET prev_hash = 'x' || event_id WHERE event_id >= :i", i=first
        )
        previous = NO_HASH
        for event in events:
            if event.event_id >= first:
                fields = {**sealed_fields(event), "prev_hash": previous}
                new = seal(canonical_text(event.at), fields)
                self.sql(
                    "UPDATE des_archive_event SET prev_hash = :p, hash = :h WHERE event_id = :i",
                    **{"p": previous, "h": new, "i": event.event_id},
                )
                previous = new
            else:
                previous = event.hash

    # What may be done to it. Each says the first event that is not as it was.

    def alter(self, event: int) -> None:
        column = self.chance.choice(COLUMNS)
        value = self.chance.choice(("forged", "root", '{"a": 1}', ""))
        self.sql(
            f"UPDATE des_archive_event SET {column} = :v WHERE event_id = :i", v=value, i=event
        )

    def alter_and_reseal(self, event: int) -> None:
        self.alter(event)
        self.reseal(event)

    def delete(self, event: int) -> None:
        self.sql("DELETE FROM des_archive_event WHERE event_id = :i", i=event)

    def delete_and_reseal(self, event: int) -> None:
        self.delete(event)
        self.reseal(event)

    def cut_the_end(self, event: int) -> None:
        self.sql("DELETE FROM des_archive_event WHERE event_id >= :i", i=event)

    def cut_the_beginning(self, event: int) -> None:
        self.sql("DELETE FROM des_archive_event WHERE event_id <= :i", i=event)

    def cut_the_beginning_and_reseal(self, event: int) -> None:
        self.cut_the_beginning(event)
        self.reseal(0)

    def forget_all(self, event: int) -> None:
        self.sql("DELETE FROM des_archive_event")

    def renumber(self, event: int) -> None:
        self.sql(
            "UPDATE des_archive_event SET event_id = event_id + 100000 WHERE event_id >= :i",
            i=event,
        )

    def swap_with_the_next(self, event: int) -> None:
        self.sql("UPDATE des_archive_event SET event_id = -1 WHERE event_id = :i", i=event)
        self.sql(
            "UPDATE des_archive_event SET event_id = event_id - 1 WHERE event_id = :i", i=event + 1
        )
        self.sql("UPDATE des_archive_event SET event_id = :j WHERE event_id = -1", j=event + 1)

    def insert_before(self, event: int) -> None:
        names = "at, actor, action, from_value, to_value, reason, details"
        self.sql(
            "UPDATE des_archive_event SET event_id = event_id + 100000 WHERE event_id >= :i",
            i=event,
        )
        self.sql(
            f"INSERT INTO des_archive_event (event_id, {names}, prev_hash, hash)"
            f" SELECT :i, {names}, 'x', 'x' FROM des_archive_event WHERE event_id = :j",
            **{"i": event, "j": event + 100_000},
        )
        self.sql("UPDATE des_archive_event SET event_id = event_id - 99999 WHERE event_id > 99999")
        self.reseal(event)

    def put_an_older_copy_back(self, _event: int) -> None:
        assert self.database.path is not None
        self.database.path.write_bytes(self.chance.choice(self.older))


TAMPERINGS: tuple[Callable[[Trail, int], None], ...] = (
    *(Trail.alter, Trail.alter_and_reseal, Trail.delete, Trail.delete_and_reseal),
    *(Trail.cut_the_end, Trail.cut_the_beginning, Trail.cut_the_beginning_and_reseal),
    *(Trail.forget_all, Trail.renumber, Trail.swap_with_the_next, Trail.insert_before),
    Trail.put_an_older_copy_back,
)


@pytest.fixture
def trail(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Trail:
    """Twelve days packed, so a dozen events, each with its head beside the manifests.

    And a copy of the database after each of them but the last.
    """
    database = make_database("sqlite")
    files_table(database, rows=24, days=12)
    settings = make_archive(database, tmp_path / "out")
    older: list[bytes] = []

    def keep_copy(event: ProgressEvent) -> None:
        if event.kind == "slice_committed":
            with closing(sqlite3.connect(str(database.path))) as connection:
                older.append(connection.serialize())

    with open_archive(settings) as archive:
        run_cycle(archive, progress=keep_copy)
    for trigger in database.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        database.execute(f'DROP TRIGGER "{trigger[0]}"')
    return Trail(database, settings, tmp_path / "out", random.Random(16), older[:-1])


@pytest.mark.sqlite
@pytest.mark.slow
def test_every_tampering_up_to_the_newest_head_is_found(
    trail: Trail, rounds: int, is_soak: bool
) -> None:
    """`ROUNDS=50 make soak PYTEST_ARGS='-k tampering'` tries 500 and more."""
    assert trail.database.path is not None
    whole = trail.database.path.read_bytes()
    ids = trail.ids()
    assert trail.check() is None
    assert len(ids) >= 12
    assert len(trail.older) >= 10
    for number in range(rounds * len(TAMPERINGS) if is_soak else 2 * len(TAMPERINGS)):
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        event = trail.chance.choice(ids[:-1])
        tamper(trail, event)
        assert trail.check() is not None, (tamper.__name__, event)
        trail.database.path.write_bytes(whole)
    assert trail.check() is None


@pytest.mark.sqlite
def test_an_older_copy_of_the_database_is_found(
    trail: Trail, files_table: FilesTableFactory
) -> None:
    """Put back with its slices: only what lies outside of the database knows better."""
    path = trail.database.path
    assert path is not None
    newest = trail.ids()[-1]
    trail.sql("DELETE FROM des_archive_shard")
    trail.sql("DELETE FROM des_archive_slice")
    trail.sql("DELETE FROM des_archive_event WHERE event_id > 3")
    assert trail.check(with_files=False) is None
    assert trail.check() in range(4, newest + 1)


@pytest.mark.sqlite
def test_without_the_files_the_slices_know(trail: Trail) -> None:
    newest = trail.ids()[-1]
    trail.cut_the_end(newest - 2)
    assert trail.check(with_files=False) == newest - 2


@pytest.mark.sqlite
def test_an_auditor_may_keep_a_head(trail: Trail) -> None:
    opened = open_database(trail.database.url)
    try:
        with opened.read() as tx:
            head = read_head(tx)
            assert head is not None
            assert str(head) == f"{head.event_id}:{newest_events(tx, limit=1)[0].hash}"
            kept = parse_head(f" {head}\n", "the auditor")
            assert check_chain(tx, [kept]).broken_at is None
            forged = Head(head.event_id, "0" * 64, "the auditor")
            found = check_chain(tx, [forged])
        assert found.broken_at == head.event_id
        assert found.problem is not None
        assert "the auditor" in found.problem
    finally:
        opened.close()
    for text in ("", "17", "17:xyz", f"-1:{'0' * 64}", f"{'9' * 30}:{'0' * 64}"):
        with pytest.raises(UsageError):
            parse_head(text, "the auditor")
