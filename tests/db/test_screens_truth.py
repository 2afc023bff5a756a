"""No state in which a screen is green and the truth is not: random states against a model.

Each step does what people, disks and servers do to an archive; after each the numbers of every
screen and the findings of `doctor` are compared with what plain SQL and the directory say. Where
they differ, the seed is printed, and the shortest end of the history that fails on a fresh archive.
`DES_TEST_SEED` plays one seed again, `DES_TEST_ROUNDS=50` takes 500 states a database.
"""

import csv
import io
import os
import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Done, program_environment, run_inside
from des_admin.render.progress_view import progress_json, progress_rows
from des_core.basics.errors import DesError, ExitCode
from des_core.checks import Check, examine
from des_core.ledger.archive_identity import JOB as OUTPUT_JOB
from des_core.ledger.outcomes import RUN, remembered
from des_core.ledger.watermark import compute_target
from des_core.metrics.archive_reader import ArchiveReader
from des_core.progress.now import Progress, read_progress
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import VerificationLog, list_tasks
from des_core.settings.config import Settings
from support.crash.truth import as_utc, read_archive, read_open_exceptions, read_watermark_value
from support.program.archive import make_archive
from support.program.runner import write_config
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.continuous import run_single

ROWS = "SELECT uid, created_at FROM files"
DAYS = 6
LAG = 3
DAY = timedelta(days=1)
# The programs' own screens cost a process's work each; their numbers come from the same values.
SCREENS_EVERY = 5
EVERYDAY_SEED = 1836882100
Step = tuple[str, int]


@dataclass
class Model:
    """What is wrong, as whoever did it knows; how the last cycle and the last reconcile ended."""

    known: datetime
    cycle_code: int = ExitCode.DONE
    reconcile_code: int = ExitCode.DONE
    damaged: set[str] = field(default_factory=set)
    known_damage: set[str] = field(default_factory=set)
    is_unmounted: bool = False

    def is_news(self, code: int) -> bool:
        """Whether a job's end is told: what failed for damage that is told is not told twice."""
        return code != ExitCode.DONE and not (code == ExitCode.DAMAGED and self.known_damage)


@dataclass(frozen=True)
class Truth:
    """What plain SQL and the directory say of one state."""

    watermark: datetime
    target: datetime
    rows: dict[str, datetime]
    exceptions: dict[str, tuple[bool, str]]
    findings: set[str]

    @property
    def archived(self) -> int:
        """The one formula."""
        rows, mark = self.rows.items(), self.watermark
        return sum(1 for uid, at in rows if (at <= mark) != (uid in self.exceptions))

    @property
    def pending(self) -> int:
        return sum(1 for at in self.rows.values() if self.watermark < at <= self.target)

    @property
    def not_packed(self) -> int:
        return sum(1 for is_archived, _ in self.exceptions.values() if not is_archived)

    @property
    def is_green(self) -> bool:
        """Nothing waits, nothing failed, nothing is wrong."""
        is_reached = self.watermark == self.target
        return is_reached and not (self.findings or self.pending or self.not_packed)


@dataclass
class Scene:
    """An archive under hands that are not always careful."""

    database: TestDatabase
    table: FilesTable
    settings: Settings
    config: Path
    output: Path
    begins: date
    model: Model
    dice: random.Random = field(default_factory=random.Random)
    clock: int = 0
    steps: int = 0

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
        is_moved, is_older = self.watermark > self.model.known, self.has_older_table
        try:
            with open_archive(self.settings) as archive:
                run_single(
                    lambda: open_archive(self.settings),
                    remember=lambda: remembered(lambda: archive.config, RUN, actor="t"),
                )
        except DesError as exc:
            self.model.cycle_code = exc.exit_code
            if not is_moved and not self.model.is_unmounted:
                self.model.known = self.watermark  # a damaged shard ends it, after whole slices
            return
        assert not is_moved, "it packed on from a watermark that nobody explained"
        assert not self.model.is_unmounted, "it packed into an empty mount point"
        assert not is_older, "it packed on beside an older table"
        self.model.cycle_code = ExitCode.DONE
        self.model.known = self.watermark

    def new_files(self) -> None:
        for _ in range(self.dice.randint(1, 5)):
            self.clock += 1
            age = timedelta(days=self.dice.uniform(0, LAG + DAYS))
            self.table.add(f"n{self.clock}", datetime.now(UTC) - age)

    def lose_sources(self) -> None:
        rows = [r for r in self.table.rows.values() if Path(r.location).exists()]
        for row in self.dice.sample(rows, min(3, len(rows))):
            Path(row.location).unlink()

    def sql_forward(self) -> None:
        self.moved_by_sql(timedelta(hours=self.dice.randint(1, 20)))

    def sql_back(self) -> None:
        self.moved_by_sql(-timedelta(hours=self.dice.randint(1, 50)))

    def set_right(self) -> None:
        """As RUNBOOK says: back to where the trail knew it."""
        if self.watermark > self.model.known:
            self.moved_by_sql(self.model.known - self.watermark)

    def damage_a_shard(self) -> None:
        shards = sorted(self.output.glob("*.des"))
        if self.model.is_unmounted or not shards:
            return
        shard = self.dice.choice(shards)
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
        self.model.known_damage = set(self.model.damaged)

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

    def late_files(self) -> None:
        """Below the watermark, where no window will ever see them."""
        for _ in range(self.dice.randint(1, 3)):
            self.clock += 1
            age = timedelta(hours=self.dice.uniform(1, 60))
            self.table.add(f"l{self.clock}", self.watermark - age)

    def delete_rows(self) -> None:
        rows = sorted(self.read_rows())
        for uid in self.dice.sample(rows, min(3, len(rows))):
            self.delete(f"uid = '{uid}'")

    def restore_an_older_table(self) -> None:
        """The rows of the newest day that was packed, and all later ones, are gone."""
        day = self.newest_packed_day
        for uid, at in self.read_rows().items():
            if day is not None and at >= midnight(day):
                self.delete(f"uid = '{uid}'")

    def delete(self, condition: str) -> None:
        self.database.execute(f"DELETE FROM files WHERE {condition}")

    def kill_a_run(self) -> None:
        """It leaves its lease behind, which has expired since."""
        zone = "+00:00" if self.database.kind == "postgres" else ""
        then = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=5)
        at = f"'{then:%Y-%m-%d %H:%M:%S.%f}{zone}'"
        self.database.execute(
            "UPDATE des_archive_lease SET token = 'killed', purpose = 'run', host = 'node2',"
            f" pid = 1, process = 'elsewhere', acquired_at = {at}, heartbeat_at = {at},"
            f" expires_at = {at} WHERE name = 'writer'"
        )

    def reconcile(self) -> None:
        """Closely; what was lost in the middle of the ledger cannot pass for well."""
        done = self.type("reconcile", "--every-day")
        assert done.code in (0, 4, 20), done.err
        assert done.code or not self.is_short_of_rows, "rows are gone, and nobody said so"
        self.model.reconcile_code = done.code

    # What is true --------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        """One step, with dice of its own; then every screen."""
        name, seed = step
        self.dice = random.Random(seed)
        self.steps += 1
        getattr(self, name)()
        self.check()

    def check(self) -> None:
        now = datetime.now(UTC)
        truth = self.read_truth(now)
        packer = self.settings.packer.to_config()
        with open_archive(self.settings) as archive:
            progress = read_progress(archive.config, archive.source, exact=True, packer=packer)
        found = {check.name: check for check in examine(self.settings)}
        check_values(truth, progress)
        check_health(truth, progress, found)
        check_metrics(truth, self.settings, self.model)
        if self.steps % SCREENS_EVERY == 0:
            check_screens(truth, self.type)

    def read_rows(self) -> dict[str, datetime]:
        return {uid: as_utc(at) for uid, at in self.database.rows(ROWS)}

    def read_truth(self, now: datetime) -> Truth:
        watermark, target = self.watermark, compute_target(now, LAG)
        model = self.model
        findings = {
            "watermark": watermark != model.known,
            "target": watermark > target and watermark == model.known,
            "run": model.is_news(model.cycle_code),
            "reconcile": model.is_news(model.reconcile_code),
            "damage": bool(model.known_damage),
            "output": model.is_unmounted,
            "rows": self.has_older_table,
            "lock": self.is_left_behind,
        }
        names = {name for name, is_wrong in findings.items() if is_wrong}
        exceptions = read_open_exceptions(self.database)
        return Truth(watermark, target, self.read_rows(), exceptions, names)

    def type(self, *line: str) -> Done:
        """A command of the program, as a person types it."""
        home = self.config.parent
        words = ["--config", str(self.config), *line]
        return run_inside(home, "des_admin", words, program_environment(home), None)

    @property
    def newest_packed_day(self) -> date | None:
        value = self.database.value("SELECT MAX(day) FROM des_archive_shard")
        return None if value is None else date.fromisoformat(str(value)[:10])

    @property
    def has_older_table(self) -> bool:
        day = self.newest_packed_day
        if day is None:
            return False
        end = max(self.watermark, midnight(day) + DAY)
        return not any(midnight(day) <= at <= end for at in self.read_rows().values())

    @property
    def is_short_of_rows(self) -> bool:
        """Rows of whole days below the watermark are gone that a shard holds."""
        if self.model.is_unmounted or self.model.damaged:
            return False
        last, rows = self.watermark.date() - DAY, self.read_rows()
        packed = self.table.rows.items()
        held = {u for u, row in packed if self.begins < row.created_at.date() <= last}
        return bool((held & set(read_archive(self.output))) - set(rows))

    @property
    def is_left_behind(self) -> bool:
        held = "SELECT COUNT(*) FROM des_archive_lease WHERE token = 'killed'"
        return bool(self.database.value(held))

    @property
    def is_marked(self) -> bool:
        count = f"SELECT COUNT(*) FROM des_archive_job WHERE name = '{OUTPUT_JOB}'"
        return bool(self.database.value(count))


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def check_values(truth: Truth, progress: Progress) -> None:
    """The numbers themselves, in JSON and CSV."""
    fields: dict[str, Any] = progress_json(progress)
    assert fields["archived"].files == truth.archived
    assert fields["pending"].files == truth.pending
    assert fields["not_packed"] == truth.not_packed
    whole = truth.archived + truth.pending + truth.not_packed
    is_forward = fields["origin"] == "moved forward"
    assert fields["total"] == (None if is_forward else whole)
    cells = dict(progress_rows(progress))
    assert cells["archived.files"] == truth.archived
    assert cells["pending.files"] == truth.pending
    assert cells["not_packed"] == truth.not_packed
    counted = sum(item.files for item in progress.exceptions)
    assert counted == len(truth.exceptions)
    assert {f"health.{remark.name}" for remark in progress.health} <= set(cells)


def check_health(truth: Truth, progress: Progress, found: dict[str, Check]) -> None:
    """What is wrong is on top of every screen, nothing else is, and doctor says the same."""
    on_top = {remark.name for remark in progress.health}
    assert on_top == truth.findings
    bad = {name for name, check in found.items() if check.status in {"failed", "warning"}}
    assert on_top <= bad, "progress and doctor read the same"
    if truth.not_packed:
        assert "exceptions" in bad


def check_metrics(truth: Truth, settings: Settings, model: Model) -> None:
    """What alerts are made of."""
    reader = ArchiveReader(settings)
    try:
        values, watermark = reader.read_config()
        values.update(reader.read_source(watermark))
    finally:
        reader.disconnect()
    series = {metric.name: labels for metric, labels in values}
    assert series["des_migration_pending_files"][""] == truth.pending
    assert sum(series["des_archive_exceptions_open"].values()) == len(truth.exceptions)
    assert series["des_watermark_explained"][""] == ("watermark" not in truth.findings)
    assert series["des_archive_damaged_shards"][""] == len(model.known_damage)
    assert series["des_table_older_than_archive"][""] == ("rows" in truth.findings)
    assert series["des_ledger_emptied"][""] == 0
    beyond = (
        series["des_watermark_timestamp_seconds"][""]
        > series["des_watermark_target_timestamp_seconds"][""]
    )
    if series["des_watermark_explained"][""]:
        assert beyond == ("target" in truth.findings)
    failed = {kind for kind, value in series["des_job_failed"].items() if value}
    assert failed == truth.findings & {"run", "reconcile"}


def check_screens(truth: Truth, type_line: Callable[..., Done]) -> None:
    """The screens as they are printed."""

    def typed(*line: str) -> Done:
        done = type_line(*line)
        assert done.out, f"{line} ended with {done.code}: {done.err}"
        return done

    status = typed("status", "--output", "json").json
    assert (status["pending_files"], status["not_packed"]) == (truth.pending, truth.not_packed)
    assert {remark["name"] for remark in status["health"]} == truth.findings
    files = re.compile(rf"\b{truth.archived:,} files?\b")
    text, markdown, page = (
        typed("progress", "--exact", "--format", form).out for form in ("table", "markdown", "html")
    )
    for shown in (typed("status").out, text, markdown, page):
        assert ("aught up" in shown) <= (truth.is_green or "aught up, but" in shown)
        is_all = truth.pending == truth.not_packed == 0
        assert ("100.0 %" in shown) <= is_all
    for shown in (text, markdown, page):
        assert files.search(shown), shown
    rows = csv.reader(io.StringIO(typed("progress", "--exact", "--format", "csv").out))
    assert dict(rows)["archived.files"] == str(truth.archived)  # type: ignore[call-overload]
    days = typed("progress", "--daily", "--days", "999", "--exact", "--output", "json").json["days"]
    below = sum(1 for at in truth.rows.values() if at <= truth.watermark)
    assert sum(day["files"] for day in days) == below
    listed = typed("exceptions", "list", "--output", "json").json["groups"]
    assert sum(group["files"] for group in listed) == len(truth.exceptions)
    doctor = typed("doctor", "--output", "json")
    assert doctor.json["healthy"] == (doctor.code == 0)
    assert doctor.json["healthy"] <= (not truth.findings - {"target", "lock", "watermark"})


STEPS = (
    *(["run_cycle"] * 3),
    *("new_files", "lose_sources", "sql_forward", "sql_back", "set_right", "set_right"),
    *("damage_a_shard", "verify", "unmount", "mount", "mount", "late_files", "reconcile"),
    *("delete_rows", "restore_an_older_table", "kill_a_run"),
)


@pytest.fixture
def new_scene(
    database: TestDatabase,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> Callable[..., Scene]:
    """Fresh archives on one kind of server; the first in the test's own database."""
    begun: list[Scene] = []

    def make(max_failure_ratio: float) -> Scene:
        fresh = make_database(database.server) if begun else database
        place = tmp_path / f"scene{len(begun)}"
        first = datetime.now(UTC).date() - timedelta(days=LAG + DAYS)
        table = files_table(
            fresh, rows=60, days=DAYS, first_day=first, archived_days=1, holes=2, max_size=200
        )
        settings = make_archive(
            fresh,
            place / "out",
            database={"lag_days": LAG},
            migration={"max_failure_ratio": max_failure_ratio},
        )
        config = write_config(settings, place / "des-admin.yaml")
        known = read_watermark_value(fresh)
        output = place / "out"
        scene = Scene(fresh, table, settings, config, output, known.date(), Model(known))
        begun.append(scene)
        return scene

    return make


@pytest.fixture
def patient_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a loaded machine takes for an answer is no truth about the archive."""
    for limit in ("CHECK_LIMIT_S", "ALL_LIMIT_S"):
        monkeypatch.setattr(f"des_core.checks.examination.{limit}", 600.0)


@pytest.mark.usefixtures("patient_doctor")
def test_no_screen_is_green_where_the_truth_is_not(
    new_scene: Callable[..., Scene], rounds: int, is_soak: bool
) -> None:
    """Random states where somebody asks for them; else a few, the same each time."""
    rounds = rounds if is_soak else 2
    drawn = random.randrange(1 << 32) if is_soak else EVERYDAY_SEED
    seed = int(os.environ.get("DES_TEST_SEED", drawn))
    print(f"seed {seed}")
    dice = random.Random(seed)
    make = partial(new_scene, dice.choice((0.5, 1.0)))
    scene = make()
    scene.check()
    history: list[Step] = []
    for _ in range(10 * rounds):
        history.append((dice.choice(STEPS), dice.randrange(1 << 32)))
        try:
            scene.take(history[-1])
        except Exception:
            print(f"after {len(history)} steps: {scene.model}")
            print(f"shortest end that fails: {shortest_end(make, history)}")
            raise


def shortest_end(make: Callable[[], Scene], history: Sequence[Step]) -> list[str] | None:
    """How much of the end of a history is enough, after one cycle of a fresh archive."""
    for length in (1, 2, 3, 5, 8, 13, 21, 34):
        steps = [("run_cycle", 0), *history[-length:]]
        scene = make()
        try:
            with suppress(AssertionError):
                scene.check()
            for step in steps:
                scene.take(step)
        except Exception as exc:
            return [*(name for name, _ in steps[: scene.steps]), f"{type(exc).__name__}: {exc}"]
    return None
