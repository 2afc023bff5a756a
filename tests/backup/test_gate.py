"""The gate before the drop wants a backup that was checked, is fresh, and is of this database."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backup.conftest import Bench, believe, cut, data_file, now
from des_core.backup.evidence import BackupVerdict, judge_backup
from des_core.backup.findings import CheckReport, Finding, Level, Severity, Status
from des_core.backup.keeping import DROPPED_ON_IT, names_that_stay
from des_core.backup.live import read_live
from des_core.backup.record import (
    last_checks,
    latest_good_backup,
    record_check,
    record_created,
    record_foreign_check,
)
from des_core.backup.store import load_entry
from des_core.basics.errors import Refused
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.settings.config import Settings
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

DROP = MigrationOptions(drop_archived=True)


@pytest.fixture
def migrated(
    database: TestDatabase,
    files_table: FilesTableFactory,
    make_bench: Callable[[TestDatabase], Bench],
) -> tuple[Bench, Settings]:
    """A database with a watermark, and settings that know where its backups are."""
    files_table(database, rows=100, days=5, archived_days=3, files=False)
    bench = make_bench(database)
    settings = settings_for(database)
    changed = {"backup": settings.backup.model_copy(update={"dir": str(bench.directory)})}
    settings = settings.model_copy(update=changed)
    upgrade(settings)
    return bench, settings


def judge(bench: Bench, settings: Settings, name: str | None = None, **age: float) -> BackupVerdict:
    config = bench.target.database
    return judge_backup(settings, bench.target, config, name, now() + timedelta(**age))


def check_and_record(bench: Bench, path: Path, level: Level = Level.L2) -> None:
    report = bench.check(path, level)
    stored = load_entry(path).stored
    assert record_check(bench.target.database, report, stored, actor="tests", now=now())


def test_nothing_recorded_is_refused(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    with pytest.raises(Refused, match="no backup of this database with files is recorded") as got:
        upgrade(settings, options=DROP)
    assert "backup create" in str(got.value.hint)
    assert "archived" in {row[0] for row in _columns(bench.database)}


def test_checked_and_fresh_opens_the_gate(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    stored = bench.create()
    assert record_created(bench.target.database, stored, actor="tests", now=now())
    assert not judge(bench, settings).is_passed
    check_and_record(bench, stored.path, Level.L1)
    assert not judge(bench, settings).is_passed
    check_and_record(bench, stored.path)
    assert judge(bench, settings).is_passed
    upgrade(settings, options=DROP)
    assert "archived" not in {row[0] for row in _columns(bench.database)}
    events = bench.database.rows(
        "SELECT details FROM des_archive_event WHERE action = 'migrate.drop_archived'"
    )
    name = stored.manifest.name
    assert json.loads(events[0][0])["backup"] == name
    stay = names_that_stay(bench.target.database, [name, name[:-1], f"{name}0"])
    assert stay == {name: DROPPED_ON_IT}


def test_old_failed_foreign_or_vanished_is_refused(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    stored = bench.create()
    check_and_record(bench, stored.path)
    assert judge(bench, settings, hours=23).is_passed
    assert "25.0 hours old" in judge(bench, settings, hours=25).text
    assert judge(bench, settings).is_passed
    cut(data_file(stored), 0.5)
    assert "bytes instead of" in judge(bench, settings).text
    check_and_record(bench, stored.path)
    assert "no backup" in judge(bench, settings).text
    second = bench.create()
    check_and_record(bench, second.path)
    assert judge(bench, settings).is_passed
    shutil.rmtree(second.path)
    assert "no longer at" in judge(bench, settings).text


def test_one_from_the_future_is_refused_and_hides_no_other(
    migrated: tuple[Bench, Settings],
) -> None:
    """Checked while the clock was a day ahead, it would be fresh until tomorrow, and longer."""
    bench, settings = migrated
    stored = bench.create()
    later = {name: now() + timedelta(days=30) for name in ("started_at", "finished_at")}
    believe(stored, **later)
    report = bench.check(stored.path, Level.L2, at=later["started_at"])
    again = load_entry(stored.path).stored
    assert report.is_good
    record_check(bench.target.database, report, again, actor="tests", now=now())
    verdict = judge(bench, settings)
    assert (verdict.is_passed, "still to come" in verdict.text) == (False, True)
    second = bench.create()
    check_and_record(bench, second.path)
    assert judge(bench, settings).is_passed


def test_backup_of_another_server_does_not_count(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    stored = bench.create()
    server = replace(stored.manifest.server, server_id="another")
    believe(stored, server=server)
    report = bench.check(stored.path, Level.L2)
    forged = replace(report, statuses=dict.fromkeys(list(Level)[:3], Status.OK))
    again = load_entry(stored.path).stored
    record_check(bench.target.database, forged, again, actor="tests", now=now())
    assert latest_good_backup(bench.target.database) is not None
    assert not judge(bench, settings).is_passed


def test_named_backup_is_checked_there_and_then(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    stored = bench.create()
    for name in (stored.manifest.name, str(stored.path)):
        verdict = judge(bench, settings, name)
        assert (verdict.is_passed, verdict.is_warning) == (True, False)
        assert "checked just now" in verdict.text
    cut(data_file(stored), 0.999)
    believe(stored)
    assert not judge(bench, settings, stored.manifest.name).is_passed
    missing = judge(bench, settings, str(stored.path) + "x")
    assert "no backup directory" in missing.text


def test_partial_backup_without_files_is_refused(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    if bench.database.kind == "sqlite":
        pytest.skip("copied whole")
    stored = bench.create(tables=("des_archive_config",))
    assert "does not hold files" in judge(bench, settings, stored.manifest.name).text
    check_and_record(bench, stored.path)
    assert not judge(bench, settings).is_passed
    assert len(last_checks(bench.target.database)) == 1


def test_name_of_a_backup_made_by_others_is_a_warning(migrated: tuple[Bench, Settings]) -> None:
    bench, settings = migrated
    verdict = judge(bench, settings, "tape 17")
    assert (verdict.is_passed, verdict.is_warning) == (True, True)
    assert "only your word" in verdict.text


def _columns(database: TestDatabase) -> list[tuple[str]]:
    if database.kind == "sqlite":
        return database.rows("SELECT name FROM pragma_table_info('files')")
    return database.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'files'"
        " AND table_schema IN ('public', :name)",
        {"name": database.name},
    )


def test_checked_backup_of_another_tool_opens_the_gate_with_a_warning(
    migrated: tuple[Bench, Settings],
) -> None:
    bench, settings = migrated
    identity = read_live(bench.target).server.identity
    at = now()

    def record(deepest: Level) -> None:
        ok = {level: Status.OK if level <= deepest else Status.SKIPPED for level in Level}
        report = CheckReport("main 20241101F", None, ok, (), at, at, at)
        assert record_foreign_check(
            *(bench.target.database, report, "pgbackrest", identity),
            tables=None,
            actor="tests",
            now=at,
        )

    record(Level.L0)
    assert not judge(bench, settings).is_passed
    record(Level.L1)
    verdict = judge(bench, settings)
    assert (verdict.is_passed, verdict.is_warning) == (True, True)
    assert "no restore of it was tried" in verdict.text
    assert judge(bench, settings, "main 20241101F").is_passed
    assert not judge(bench, settings, hours=25).is_passed


def test_backup_that_nobody_compared_wants_the_operators_word(
    migrated: tuple[Bench, Settings],
) -> None:
    """Checked while the server was away, or by a tool that does not say whose backup it is."""
    bench, settings = migrated
    identity = read_live(bench.target).server.identity
    at = now()
    ok = {level: Status.OK if level < Level.L3 else Status.SKIPPED for level in Level}
    ok[Level.L0] = Status.WARNING
    finding = Finding(Level.L0, Severity.WARNING, "not_compared", "nobody compared", "compare")
    report = CheckReport("dump of Tuesday", None, ok, (finding,), at, at, at)
    record_foreign_check(
        *(bench.target.database, report, "mydumper", identity),
        tables=(str(settings.database.table),),
        actor="tests",
        now=at,
    )
    assert not judge(bench, settings).is_passed
    verdict = judge(bench, settings, "dump of Tuesday")
    assert (verdict.is_passed, verdict.is_warning) == (True, True)
    assert "only your word" in verdict.text


@pytest.mark.parametrize(("tool", "enough"), [("mydumper", Level.L2), ("barman", Level.L1)])
def test_level_that_proves_it_depends_on_the_tool(
    migrated: tuple[Bench, Settings], tool: str, enough: Level
) -> None:
    """The rows of a logical dump are counted at L2; every byte of a physical one is read at L1."""
    bench, settings = migrated
    identity = read_live(bench.target).server.identity
    for deepest in Level:
        at = now()
        ok = {level: Status.OK if level <= deepest else Status.SKIPPED for level in Level}
        report = CheckReport(f"{tool} {deepest}", None, ok, (), at, at, at)
        record_foreign_check(
            *(bench.target.database, report, tool, identity), tables=None, actor="tests", now=at
        )
        assert judge(bench, settings).is_passed == (deepest >= enough)
