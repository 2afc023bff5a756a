"""No state in which a screen is green and the truth is not: random states against a model.

Each step does what people and disks do to an archive; after each the numbers of `progress` and the
findings of `doctor` are compared with what plain SQL and the directory say.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import DesError
from des_core.checks import examine
from des_core.ledger.archive_identity import JOB as OUTPUT_JOB
from des_core.ledger.outcomes import RUN, remembered
from des_core.ledger.watermark import compute_target
from des_core.progress.now import read_progress
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import VerificationLog, list_tasks
from des_core.settings.config import Settings
from support.crash.truth import as_utc, read_open_exceptions, read_watermark_value
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.continuous import run_single

ROWS = "SELECT uid, created_at FROM files"
DAYS = 6
LAG = 3


@dataclass
class Model:
    """What is wrong, as whoever did it knows."""

    known: datetime
    last_cycle_failed: bool = False
    damaged: set[str] = field(default_factory=set)
    is_unmounted: bool = False


@dataclass
class Scene:
    """An archive under hands that are not always careful."""

    database: TestDatabase
    table: FilesTable
    settings: Settings
    output: Path
    random: random.Random
    model: Model
    clock: int = 0

    @property
    def watermark(self) -> datetime:
        return read_watermark_value(self.database)

    def moved_by_sql(self, by: timedelta) -> None:
        moved = (self.watermark + by).replace(tzinfo=None)
        text = f"{moved:%Y-%m-%d %H:%M:%S.%f}"
        zone = "+00:00" if self.database.kind == "postgres" else ""
        self.database.execute(
            f"UPDATE des_archive_config SET archived_until = '{text}{zone}' WHERE id = 1"
        )

    # What happens --------------------------------------------------------------------------

    def run_cycle(self) -> None:
        is_moved = self.watermark > self.model.known
        try:
            with open_archive(self.settings) as archive:
                run_single(
                    lambda: open_archive(self.settings),
                    remember=lambda: remembered(lambda: archive.config, RUN, actor="t"),
                )
        except DesError:
            self.model.last_cycle_failed = True
            if not is_moved and not self.model.is_unmounted:
                self.model.known = self.watermark  # a damaged shard ends it, after whole slices
            return
        assert not is_moved, "it packed on from a watermark that nobody explained"
        assert not self.model.is_unmounted, "it packed into an empty mount point"
        self.model.last_cycle_failed = False
        self.model.known = self.watermark

    def new_files(self) -> None:
        for _ in range(self.random.randint(1, 5)):
            self.clock += 1
            age = timedelta(days=self.random.uniform(0, LAG + DAYS))
            self.table.add(f"n{self.clock}", datetime.now(UTC) - age)

    def lose_sources(self) -> None:
        rows = [r for r in self.table.rows.values() if Path(r.location).exists()]
        for row in self.random.sample(rows, min(3, len(rows))):
            Path(row.location).unlink()

    def sql_forward(self) -> None:
        self.moved_by_sql(timedelta(hours=self.random.randint(1, 20)))

    def sql_back(self) -> None:
        self.moved_by_sql(-timedelta(hours=self.random.randint(1, 50)))

    def set_right(self) -> None:
        """As RUNBOOK says: back to where the trail knew it."""
        if self.watermark > self.model.known:
            self.moved_by_sql(self.model.known - self.watermark)

    def damage_a_shard(self) -> None:
        shards = sorted(self.output.glob("*.des"))
        if self.model.is_unmounted or not shards:
            return
        shard = self.random.choice(shards)
        shard.chmod(0o600)
        content = bytearray(shard.read_bytes())
        content[20] ^= 1
        shard.write_bytes(bytes(content))
        self.model.damaged ^= {shard.name}

    def verify(self) -> None:
        if self.model.is_unmounted:
            return
        with open_archive(self.settings) as archive:
            log = VerificationLog(archive.config)
            verify_shards(
                archive.storage,
                archive.config,
                list_tasks(archive.storage, archive.config),
                on_verdict=lambda v: log.hear(v.shard, v.verdict, v.problem, is_bad=v.is_bad),
            )
            log.flush()

    def unmount(self) -> None:
        """Before the first cycle no output is the archive's: nothing could tell an empty one."""
        if self.is_marked and not self.model.is_unmounted:
            self.output.rename(self.output.with_name("elsewhere"))
            self.output.mkdir()
            self.model.is_unmounted = True

    def mount(self) -> None:
        if self.model.is_unmounted:
            assert not list(self.output.iterdir()), "something was written into the mount point"
            self.output.rmdir()
            self.output.with_name("elsewhere").rename(self.output)
            self.model.is_unmounted = False

    # What is true --------------------------------------------------------------------------

    def check(self) -> None:
        now = datetime.now(UTC)
        with open_archive(self.settings) as archive:
            progress = read_progress(archive.config, archive.source, exact=True)
        rows = {u: as_utc(at) for u, at in self.database.rows(ROWS)}
        exceptions = read_open_exceptions(self.database)
        watermark, target = self.watermark, compute_target(now, LAG)
        archived = [u for u, at in rows.items() if (at <= watermark) != (u in exceptions)]
        pending = [u for u, at in rows.items() if watermark < at <= target]
        assert progress.archived.files == len(archived)
        assert progress.pending.files == len(pending)
        below = [u for u, (is_archived, _) in exceptions.items() if not is_archived]
        assert progress.not_packed == len(below)
        found = {check.name: check for check in examine(self.settings)}
        bad = {name for name, check in found.items() if check.status in {"failed", "warning"}}
        on_top = {remark.name for remark in progress.health}
        assert ("watermark" in on_top) == (watermark != self.model.known)
        assert ("target" in on_top) <= (watermark > target)
        assert ("run" in on_top) == self.model.last_cycle_failed
        assert on_top - {"target"} <= bad, "progress and doctor read the same"
        if self.model.is_unmounted and self.has_shards:
            assert found["output"].status == "failed"
        if below:
            assert "exceptions" in bad

    def check_damage(self) -> None:
        """After a verification: what is damaged is on the screen, and nothing else is."""
        with open_archive(self.settings) as archive:
            progress = read_progress(archive.config, archive.source)
        said = [remark.text for remark in progress.health if remark.name == "damage"]
        assert bool(said) == bool(self.model.damaged)
        if len(self.model.damaged) == 1:
            assert next(iter(self.model.damaged)) in said[0]

    @property
    def is_marked(self) -> bool:
        count = f"SELECT COUNT(*) FROM des_archive_job WHERE name = '{OUTPUT_JOB}'"
        return bool(self.database.value(count))

    @property
    def has_shards(self) -> bool:
        return bool(self.database.value("SELECT COUNT(*) FROM des_archive_shard"))


@pytest.fixture
def scene(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Scene:
    first = datetime.now(UTC).date() - timedelta(days=LAG + DAYS)
    table = files_table(
        database, rows=60, days=DAYS, first_day=first, archived_days=1, holes=2, max_size=200
    )
    settings = make_archive(
        database,
        tmp_path / "out",
        database={"lag_days": LAG},
        migration={"max_failure_ratio": 1.0},
    )
    known = read_watermark_value(database)
    return Scene(database, table, settings, tmp_path / "out", random.Random(), Model(known))


def test_no_screen_is_green_where_the_truth_is_not(scene: Scene, rounds: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    scene.random = random.Random(seed)
    steps: list[Callable[[], None]] = [
        *([scene.run_cycle] * 3),
        *(scene.new_files, scene.lose_sources, scene.sql_forward, scene.sql_back),
        *(scene.set_right, scene.set_right, scene.damage_a_shard, scene.verify),
        *(scene.unmount, scene.mount, scene.mount),
    ]
    scene.check()
    for _ in range(10 * rounds):
        step = scene.random.choice(steps)
        step()
        scene.check()
        if step == scene.verify and not scene.model.is_unmounted:
            scene.check_damage()
