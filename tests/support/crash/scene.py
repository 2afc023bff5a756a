"""One archive that goes through crash after crash, a day of new rows each time."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from des_core.basics.errors import DesError, LockHeld
from des_core.settings.config import Settings
from support.crash.faulty_disk import Fault, FaultyMachine
from support.crash.truth import read_open_exceptions, read_watermark_value
from support.program.archive import make_archive
from support.rows.bulk import insert_rows
from support.rows.documents import document
from support.rows.filesdata import FileRow, FilesTable, FilesTableFactory, content_of
from support.servers.database import TestDatabase
from support.shards.tiny_reader import read_shard
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle

FIRST_DAY = date(2021, 1, 1)
BIG = 3000
PACKER = {"n_bits": 4, "max_shard_size": 1 << 16, "big_file_threshold": 2500, "workers": 1}


@dataclass
class CrashScene:
    """`prepare` adds a day, `run` packs it under a fault, `recover` runs again, `check` looks.

    With `documents`, each day has so many that share their words, all of one bucket.
    """

    database: TestDatabase
    table: FilesTable
    settings: Settings
    output: Path
    chance: random.Random
    round: int = 0
    days: list[date] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    documents: int = 0
    _by_day: dict[date, list[str]] = field(default_factory=lambda: defaultdict(list))

    def prepare(self) -> None:
        """Rows of a new day, a late row of an earlier one, a file that is missing, one mended."""
        self.round += 1
        number, today = self.round, FIRST_DAY + timedelta(days=self.round)
        self.days = [today]
        rows = []
        for place in range(3):
            size = BIG if place == 0 and number % 3 == 0 else 40 * place
            rows.append(self._make(f"{number}-{place}", today, hours=1 + 7 * place, size=size))
        if number % 2 and number > 3:
            late = today - timedelta(days=2)
            rows.append(self._make(f"{number}-late", late, hours=3, size=33))
            self.days.append(late)
        if number % 5 == 0:
            rows.append(self._make(f"{number}-missing", today, hours=9, size=21))
            Path(rows[-1].location).unlink()
            self.missing.append(rows[-1].uid)
        rows += [self._make_document(number, place, today) for place in range(self.documents)]
        insert_rows(self.database, rows)
        self._mend()
        self.advance_target(today + timedelta(days=1))

    def run(self, fault: Fault | None) -> FaultyMachine:
        """A cycle on a machine that fails as `fault` says; only errors of ours may come out."""
        machine = FaultyMachine(self.output, fault)
        with machine.running(), suppress(DesError), open_archive(self.settings) as archive:
            run_cycle(archive)
        machine.lose("nothing" if fault is None else fault.lost, self.chance)
        self._end_lease()
        return machine

    def recover(self) -> CycleReport:
        """The next cycle, on a sound machine; a dead session's lock may take a moment to go."""
        for _ in range(100):
            with suppress(LockHeld), open_archive(self.settings) as archive:
                return run_cycle(archive)
        raise AssertionError("the lock of a dead session stays")

    def check(self, *, at_rest: bool) -> None:
        """Archived rows of the days concerned are byte-equal in exactly one truth.

        `at_rest`: after a cycle that ended, also that nothing is both packed and an exception,
        and that only files that really are missing are exceptions.
        """
        watermark = read_watermark_value(self.database)
        exceptions = read_open_exceptions(self.database)
        for day in self.days:
            packed = self._read_day(day)
            for uid in self._by_day[day]:
                row = self.table.rows[uid]
                is_archived = (row.created_at <= watermark) != (uid in exceptions)
                entries = packed.get(uid, [])
                if not at_rest and (uid.endswith("late") or uid.startswith("live")):
                    continue  # until the recheck has found it, nobody knows that it is there
                assert len(entries) <= 1, f"{uid} is packed {len(entries)} times"
                if is_archived:
                    expected = hashlib.sha256(self.table.expected_content(uid)).digest()
                    assert entries == [expected], f"{uid} is lost"
                elif at_rest:
                    assert not entries, f"{uid} is packed and an exception"
        if at_rest:
            assert set(exceptions) == set(self.missing)
            assert not list(self.output.rglob(".tmp-*"))

    def write_row(self, uid: str, *, late: bool, missing: bool) -> None:
        """One row as an application inserts it, into the newest day or one below the watermark.

        Its file is there before the row, as applications must see to, unless it is `missing`.
        """
        back = 2 if late and self.round > 4 else -1
        day = FIRST_DAY + timedelta(days=self.round - back)
        row = self._make(uid, day, hours=self.chance.randrange(24), size=self.chance.randrange(90))
        if missing:
            Path(row.location).unlink()
        insert_rows(self.database, [row])

    def advance_target(self, midnight: date) -> None:
        """Let the next cycle's window end at that midnight."""
        until = datetime.combine(midnight, time.min, UTC)
        lag = (datetime.now(UTC) - until).days
        self.database.execute("UPDATE des_archive_config SET lag_days = :n", {"n": lag})

    def _make(self, uid: str, day: date, *, hours: int, size: int) -> FileRow:
        created_at = datetime.combine(day, time.min, UTC) + timedelta(hours=hours)
        path = self.table.root / uid
        path.write_bytes(content_of(uid, size))
        row = FileRow(uid, created_at, str(path), size)
        self.table.rows[uid] = row
        self._by_day[day].append(uid)
        return row

    def _make_document(self, number: int, place: int, day: date) -> FileRow:
        uid = str(16 * (1000 * number + place))
        row = self._make(uid, day, hours=1 + place % 22, size=0)
        content = document(1000 * number + place)
        Path(row.location).write_bytes(content)
        self.table.expect(uid, content)
        row = replace(row, size_bytes=len(content))
        self.table.rows[uid] = row
        return row

    def _mend(self) -> None:
        """The oldest missing file comes back, and its exception is due."""
        if len(self.missing) < 2:
            return
        uid = self.missing.pop(0)
        row = self.table.rows[uid]
        Path(row.location).write_bytes(self.table.expected_content(uid))
        self.database.execute(
            "UPDATE des_archive_exception SET next_attempt = NULL WHERE uid = :u", {"u": uid}
        )
        self.days.append(row.created_at.date())

    def _read_day(self, day: date) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for path in sorted(self.output.glob(f"{day:%Y%m%d}_*.des")):
            for uid, (content, _) in read_shard(path).items():
                found.setdefault(uid, []).append(hashlib.sha256(content).digest())
        return found

    def _end_lease(self) -> None:
        """What the next process does when it sees that the holder's is gone."""
        self.database.execute("UPDATE des_archive_lease SET token = ''")


def make_scene(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    seed: int = 1,
    *,
    documents: int = 0,
) -> CrashScene:
    """An empty archive that stands at the first day; with `documents`, it has dictionaries."""
    table = files_table(database, rows=1, days=1, first_day=FIRST_DAY, archived_days=1)
    packer = PACKER | {"compression": {"dictionary": documents > 0}}
    settings = make_archive(
        database, tmp_path / "out", packer=packer, watermark={"recheck_days": 5}
    )
    chance = random.Random(seed)
    return CrashScene(database, table, settings, tmp_path / "out", chance, documents=documents)
