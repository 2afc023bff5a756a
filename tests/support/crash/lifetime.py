"""An archive's whole life, and a model beside it that is much simpler than the product.

`Life` does what operators, applications, disks and crashes do; `check` compares every row with
what the model knows: its content, whether its source is there, whether it was archived before.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from des_core.basics.errors import DesError
from des_core.basics.timestamps import floor_day
from des_core.ledger.watermark_edits import execute_move, plan_move
from des_core.migration.apply import downgrade, upgrade
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import list_tasks
from des_core.settings.config import Settings
from support.crash.faulty_disk import Fault, FaultyMachine
from support.crash.truth import as_utc, read_archive, read_watermark_value
from support.program.archive import make_settings
from support.rows.bulk import create_files_table, insert_rows
from support.rows.filesdata import FileRow, canonical_rows, content_of
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import retry_now, run_cycle
from watermark_orchestrator.per_record import pack_per_record
from watermark_orchestrator.rechecking import look_for_late, record_late
from watermark_orchestrator.repair import repair_now
from watermark_orchestrator.retrying import Selection
from watermark_orchestrator.source_deletion import delete_now

DAYS = 12
PACKER = {"n_bits": 4, "max_shard_size": 1 << 16, "big_file_threshold": 2500}
# Moments of a day at which boundaries are got wrong, if anywhere.
MOMENTS = (timedelta(0), timedelta(microseconds=1), timedelta(hours=12), timedelta(hours=23))
SIZES = (0, 40, 300, 3000)


@dataclass
class Row:
    """What the model knows of a row. `known` is False while nobody can know that it came late."""

    row: FileRow
    content: bytes
    has_source: bool = True
    known: bool = True
    archived_before: bool = False

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()


@dataclass
class Life:
    """One archive from its first day. All times lie well below the target of today."""

    database: TestDatabase
    root: Path
    slice_kind: str = "day"
    rows: dict[str, Row] = field(default_factory=dict)
    has_watermark: bool = False
    settings: Settings = field(init=False)
    first_day: datetime = field(init=False)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self.output, self.sources = self.root / "out", self.root / "sources"
        self.sources.mkdir(parents=True)
        self.first_day = floor_day(datetime.now(UTC)) - timedelta(days=60)
        self.settings = make_settings(
            self.database,
            self.output,
            packer={**PACKER, "source_roots": [str(self.sources)]},
            watermark={"slice": self.slice_kind, "recheck_days": 100},
            migration={"grace_days": 0},
        )
        create_files_table(self.database)

    # Applications, disks ---------------------------------------------------------------------

    def insert(self, day: int, moment: timedelta, size: int, *, archived: bool = False) -> str:
        """A new row with its file."""
        uid = str(len(self.rows)) if len(self.rows) % 3 else f"doc-{len(self.rows)}"
        created_at = self.first_day + timedelta(days=day) + moment
        content = content_of(uid, size)
        path = self.sources / uid
        path.write_bytes(content)
        item = FileRow(uid, created_at, str(path), size, archived)
        insert_rows(self.database, [item])
        late = self.has_watermark and created_at <= self.watermark
        self.rows[uid] = Row(item, content, known=not late, archived_before=archived)
        return uid

    def break_source(self, uid: str) -> None:
        """The file of a row that is not in the archive yet is missing for a while."""
        if not read_archive(self.output).get(uid):
            Path(self.rows[uid].row.location).unlink(missing_ok=True)
            self.rows[uid].has_source = False

    def mend_sources(self) -> None:
        """Files that were missing come back."""
        for item in self.rows.values():
            if not item.has_source:
                Path(item.row.location).write_bytes(item.content)
                item.has_source = True

    # Operators -------------------------------------------------------------------------------

    @property
    def watermark(self) -> datetime:
        return read_watermark_value(self.database)

    def up(self) -> None:
        """The cutover: what the column says and what the formula says is the same."""
        before = self.flags()
        upgrade(self.settings)
        self.has_watermark = True
        assert self.truth() == before, "the cutover changed the truth"

    def down(self) -> None:
        """The rollback, likewise. Where nobody knows that a row came late, it may stay pending."""
        before = self.truth()
        downgrade(self.settings)
        self.has_watermark = False
        after = self.flags()
        for uid, item in self.rows.items():
            assert after[uid] == before[uid] or not (item.known or after[uid]), (
                f"the rollback changed the truth about {uid}"
            )
            item.known = item.known or not after[uid]

    def set_target(self, day: int) -> None:
        """The next cycle's window ends at that day's midnight."""
        target = self.first_day + timedelta(days=day)
        lag = (datetime.now(UTC) - target).days
        self.database.execute("UPDATE des_archive_config SET lag_days = :n", {"n": lag})

    def move(self, archive: Archive, to: datetime) -> None:
        """Rewind or set the watermark by hand."""
        plan = plan_move(archive.config, archive.source, to, max_captured=1000)
        execute_move(
            archive.config, archive.source, plan, action="set", actor="tests", reason="why not"
        )

    def cycle(self, archive: Archive) -> None:
        """Pack up to the target; late rows are looked for on the way."""
        run_cycle(archive)

    def reconcile(self, archive: Archive) -> None:
        """Look at every row of every day."""
        record_late(archive, look_for_late(archive, every_day=True))

    def retry(self, archive: Archive) -> None:
        """Try every exception, due or not."""
        retry_now(archive, Selection())

    def delete_sources(self, archive: Archive) -> None:
        """Sources of what is packed go."""
        delete_now(archive)

    def verify(self, archive: Archive) -> None:
        """Nothing is damaged."""
        report = verify_shards(
            archive.storage,
            archive.config,
            list_tasks(archive.storage, archive.config),
            on_verdict=lambda _: None,
            threads=1,
        )
        assert report.findings == []

    def damage_and_repair(self, archive: Archive, place: int) -> None:
        """A bit flips in a shard whose files are all still at their source, and is repaired."""
        shards = [path for path in sorted(self.output.glob("*.des")) if self._is_replaceable(path)]
        if not shards:
            return
        path = shards[place % len(shards)]
        data = bytearray(path.read_bytes())
        data[place % len(data)] ^= 1 << place % 8
        path.write_bytes(data)
        report = verify_shards(
            archive.storage,
            archive.config,
            list_tasks(archive.storage, archive.config),
            on_verdict=lambda _: None,
            threads=1,
        )
        assert [finding.shard for finding in report.findings] == [path.name]
        repair_now(archive, report.findings)

    def pack_per_record(self) -> None:
        """The way of before the cutover."""
        pack_per_record(self.settings, older_than_days=30, batch_size=3)

    def do(self, act: Callable[[Archive], None]) -> None:
        """On a sound machine."""
        with open_archive(self.settings) as archive:
            act(archive)

    def crash(self, act: Callable[[Archive], None], fault: Fault) -> bool:
        """On a machine on which that fault happens; False where it came to its end before."""
        machine = FaultyMachine(self.output, fault)
        finished = False
        with machine.running(), suppress(DesError), open_archive(self.settings) as archive:
            act(archive)
            finished = True
        machine.lose(fault.lost, self.chance)
        # What the next process does, as the dead one is gone.
        self.database.execute("UPDATE des_archive_lease SET token = ''")
        return not finished

    def all_known(self) -> None:
        """Every late row has been looked for and found, from where the ledger begins.

        Below that there are only rows that somebody archived before, and nobody can tell them from
        one that came since.
        """
        begin = self.database.value(
            "SELECT MIN(window_start) FROM des_archive_slice WHERE kind = 'window'"
        )
        for item in self.rows.values():
            item.known = item.known or (begin is not None and item.row.created_at > as_utc(begin))

    # What must be true -----------------------------------------------------------------------

    def flags(self) -> dict[str, bool]:
        """uid → the column `archived`."""
        return {row[0]: bool(row[4]) for row in canonical_rows(self.database)}

    def truth(self) -> dict[str, bool]:
        """uid → what the formula says."""
        watermark = self.watermark
        exceptions = self.exceptions()
        return {
            uid: (item.row.created_at <= watermark) != ((uid, item.row.created_at) in exceptions)
            for uid, item in self.rows.items()
        }

    def exceptions(self) -> dict[tuple[str, datetime], tuple[bool, str]]:
        """(uid, created_at) → (the truth, the reason) of the open ones."""
        rows = self.database.rows(
            "SELECT uid, created_at, archived, reason FROM des_archive_exception"
            " WHERE resolved_at IS NULL"
        )
        return {(uid, as_utc(at)): (bool(archived), why) for uid, at, archived, why in rows}

    def check(self) -> None:
        """Nothing is lost, nothing is there twice, and what counts as archived is archived."""
        archive = read_archive(self.output)
        truth = self.truth() if self.has_watermark else self.flags()
        for uid, item in self.rows.items():
            entries = archive.get(uid, [])
            assert entries in ([], [item.digest]), f"{uid}: torn, foreign, or packed twice"
            if truth[uid] and item.known and not item.archived_before:
                assert entries, f"{uid} counts as archived and is not in the archive"
            if not entries and item.has_source:
                assert Path(item.row.location).read_bytes() == item.content, f"{uid} is lost"
        if self.has_watermark:
            for (uid, at), (archived, why) in self.exceptions().items():
                assert archived == (at > self.watermark), f"{uid}: {why} tells another truth"

    def check_at_rest(self) -> None:
        """After everything was mended, packed and tried: the archive has every row that it must."""
        self.check()
        watermark = self.watermark
        archive = read_archive(self.output)
        assert self.exceptions() == {}
        for uid, item in self.rows.items():
            must_be_there = item.known and not item.archived_before
            if item.row.created_at <= watermark and must_be_there:
                assert archive.get(uid) == [item.digest], f"{uid} was never packed"
        assert not list(self.output.rglob(".tmp-*"))

    def _is_replaceable(self, path: Path) -> bool:
        uids = [uid for uid, found in read_archive_of(path).items() if found]
        return all(uid in self.rows and Path(self.rows[uid].row.location).exists() for uid in uids)


def read_archive_of(path: Path) -> dict[str, bytes]:
    """uid → content of one shard."""
    from support.shards.tiny_reader import read_shard

    return {uid: content for uid, (content, _) in read_shard(path).items()}
