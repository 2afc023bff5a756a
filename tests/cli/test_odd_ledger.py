"""Values that SQL by hand wrote into our own tables: every screen names them, and none breaks."""

import re
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.test_night_memory import exported

SCREENS = (
    *("status", "progress", "doctor", "watermark show", "watermark history --check"),
    *("exceptions list", "run --dry-run", "run", "reconcile", "exporter --once"),
)
DOCUMENTED = {0, 2, 3, 4, 10, 11, 12, 20}


def typed(program: Program, line: str) -> str:
    """What it said; never that all is well, nor an internal error."""
    done = program(*line.split(), expect=None)
    assert done.code in DOCUMENTED, f"{line}: {done.err}"
    said = " ".join((done.out + done.err).split())
    assert "aught up" not in said, line
    return said


@pytest.mark.parametrize("value", ["9999-12-31 23:59:59.999999", "0001-01-01 00:00:00.000000"])
def test_a_watermark_beside_which_no_window_has_room(
    sqlite_archive: Archive, program: Program, value: str
) -> None:
    known = sqlite_archive.config.value("SELECT archived_until FROM des_archive_config")
    sqlite_archive.config.execute(f"UPDATE des_archive_config SET archived_until = '{value}'")
    for line in SCREENS:
        said = typed(program, line)
        if "history" not in line and "exceptions" not in line:
            assert value in said, line
    assert "SET archived_until = VALUE" in typed(program, "status")
    sqlite_archive.config.execute(f"UPDATE des_archive_config SET archived_until = '{known}'")
    program("run", expect=None)
    program("status")


@pytest.mark.parametrize("value", ["2000000", "'seven'"])
def test_a_lag_that_is_none(sqlite_archive: Archive, program: Program, value: str) -> None:
    sqlite_archive.config.execute(f"UPDATE des_archive_config SET lag_days = {value}")
    for line in SCREENS:
        said = typed(program, line)
        if "history" not in line and "exceptions" not in line:
            assert f"lag_days of the watermark is {value}" in said, line


def test_a_watermark_in_a_far_future(sqlite_archive: Archive, program: Program) -> None:
    """Nothing walks its days one by one; where packing ended, the trail knows."""
    sqlite_archive.config.execute(
        "UPDATE des_archive_config SET archived_until = '9999-12-01 00:00:00.000000'"
    )
    for line in ("status", "progress", "doctor", "run", "reconcile"):
        assert "lies in the future" in typed(program, line), line
    known = program("watermark", "show", "--output", "json").json["known"]
    program("watermark", "set", known, "--yes")
    program("run")
    program("reconcile")
    assert "lies in the future" not in program("status").out


def test_an_exit_code_that_nobody_knows(sqlite_archive: Archive, program: Program) -> None:
    """As of another version: it is told as one that failed."""
    sqlite_archive.config.execute(
        "INSERT INTO des_archive_outcome (job, actor, started_at, ended_at, exit_code, files,"
        " message) VALUES ('verify', 'x', '2024-01-03 00:00:00.000000',"
        " '2024-01-03 00:00:00.000000', 99, 0, 'the moon was full')"
    )
    for line in ("status", "progress", "doctor"):
        said = typed(program, line)
        assert "the last verify failed" in said, line
        assert "the moon was full" in said, line


def test_a_trail_whose_newest_position_is_no_time(
    sqlite_archive: Archive, program: Program
) -> None:
    sqlite_archive.config.execute("UPDATE des_archive_event SET to_value = 'soon'")
    for line in ("status", "progress", "doctor", "watermark show"):
        assert "no record of the trail or the cutover explains" in typed(program, line), line
    assert "event" in typed(program, "watermark history --check")
    typed(program, "exporter --once")


@pytest.mark.parametrize(
    ("job", "details"),
    [
        *(("archive", "[1]"), ("archive", "{}"), ("cycle-0", "no JSON")),
        *(("gone rows", "[1]"), ("recheck", "no JSON")),
    ],
)
def test_details_of_a_job_that_mean_nothing(
    sqlite_archive: Archive, program: Program, job: str, details: str
) -> None:
    """The job is named where it matters; a count of cycles is begun anew."""
    program("run")
    sqlite_archive.config.execute(
        "INSERT INTO des_archive_job (name, state, started_at, updated_at, details) VALUES"
        f" ('{job}', 'done', '2024-01-03 00:00:00.000000', '2024-01-03 00:00:00.000000', :it)"
        " ON CONFLICT (name) DO UPDATE SET details = :it",
        {"it": details},
    )
    for line in ("status", "doctor", "reconcile", "exporter --once", "run"):
        done = program(*line.split(), expect=None)
        assert done.code in DOCUMENTED, f"{line}: {done.err}"
        if job in {"archive", "gone rows"} and line in {"status", "doctor", "reconcile"}:
            assert "des_archive_job.details" in " ".join((done.out + done.err).split()), line


def test_days_of_a_watermark_near_the_beginning_of_the_calendar(
    sqlite_archive: Archive, program: Program
) -> None:
    sqlite_archive.config.execute(
        "UPDATE des_archive_config SET archived_until = '0001-01-04 00:00:00.000000'"
    )
    program("progress", "--daily", "--days", "36500")
    program("progress", "--daily", "--days", "36500", "--exact")


NEWEST = "(SELECT MAX(slice_id) FROM des_archive_slice)"


@pytest.mark.parametrize(
    ("gone", "said", "by_hand"),
    [
        (["shard"], "the ledger has no shard", None),
        (["shard", "slice"], "the ledger has no shard", None),
        ([f"shard WHERE slice_id = {NEWEST}"], "in no shard of the ledger", None),
        (["shard WHERE slice_id > 2", "slice WHERE slice_id > 2"], "of the audit trail", None),
        (["slice"], "have no slice", "shard"),
    ],
    ids=["shards", "all", "newest shards", "an older copy", "slices"],
)
def test_a_ledger_that_was_emptied(
    sqlite_archive: Archive, program: Program, gone: list[str], said: str, by_hand: str | None
) -> None:
    """Its files are in the output; nothing that verifies or deletes would know of them."""
    program("run")
    assert exported(program, "des_ledger_emptied") == 0
    for rows in gone:
        sqlite_archive.config.execute(f"DELETE FROM des_archive_{rows}")
    for line in ("status", "progress", "doctor"):
        shown = typed(program, line)
        assert said in shown, line
        assert "des-admin ledger rebuild" in shown, line
    assert exported(program, "des_ledger_emptied") == 1
    if by_hand is not None:  # as the hint says
        sqlite_archive.config.execute(f"DELETE FROM des_archive_{by_hand}")
    program("ledger", "rebuild", "--yes")
    program("run")
    assert program("status", "--output", "json").json["health"] == []
    assert exported(program, "des_ledger_emptied") == 0


@pytest.mark.parametrize(
    ("table", "then"), [("shard", "the ledger has no shard"), ("config", "caught up")]
)
def test_a_table_that_was_dropped(
    sqlite_archive: Archive, program: Program, table: str, then: str
) -> None:
    """`migrate up`, which every screen advised, had nothing to do."""
    program("run")
    sqlite_archive.config.execute(f"DROP TABLE des_archive_{table}")
    for line in ("status", "doctor"):
        assert "des-admin migrate plan" in typed(program, line), line
    for line in ("migrate plan", "migrate up --yes"):
        done = program(*line.split(), expect=4)
        said = " ".join((done.out + done.err).split())
        assert f"des_archive_{table} is gone" in said, line
        assert "restore it from a backup" in said, line
    sqlite_archive.config.execute(  # as the hint says
        "DELETE FROM des_admin_version WHERE version_num = '0003_watermark'"
    )
    program("migrate", "up", "--yes")
    program("run", expect=None)
    assert then in program("status").out


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_exceptions_that_were_emptied(archive: Archive, program: Program) -> None:
    """They read as archived, and no screen said that anything was wrong."""
    lost = [row for row in archive.table.rows.values() if not row.archived][:4]
    for row in lost:
        Path(row.location).unlink()
    program("run", expect=3)
    assert program("status", "--output", "json").json["not_packed"] == len(lost)
    archive.config.execute("DELETE FROM des_archive_exception")
    for line in ("status", "progress", "doctor"):
        shown = typed(program, line)
        assert "des_archive_exception has no row" in shown, line
        assert "des-admin reconcile --every-day --record" in shown, line
    assert exported(program, "des_ledger_emptied") == 1
    program("reconcile", "--every-day", "--record", "--yes", expect=None)
    shown = program("status", "--output", "json").json
    assert "ledger" not in {remark["name"] for remark in shown["health"]}
    assert exported(program, "des_ledger_emptied") == 0


def test_times_of_a_clock_that_was_ahead(sqlite_archive: Archive, program: Program) -> None:
    """It was set back since. No screen counts a time that is yet to come as one that has passed."""
    program("run")
    ahead = "2999-01-01 00:00:00.000000"
    sqlite_archive.config.execute(
        "UPDATE des_archive_lease SET token = 'x', purpose = 'run', host = 'node2', pid = 1,"
        f" process = 'elsewhere', acquired_at = '{ahead}', heartbeat_at = '{ahead}',"
        f" expires_at = '{ahead}' WHERE name = 'writer'"
    )
    sqlite_archive.config.execute(f"UPDATE des_archive_slice SET finished_at = '{ahead}'")
    sqlite_archive.config.execute(
        f"UPDATE des_archive_outcome SET ended_at = '{ahead}', exit_code = 4, message = 'full'"
    )
    for line in ("lock show", "status", "progress", "watermark show", "migrate status"):
        shown = program(*line.split()).out
        assert not re.search(r"-[0-9]+ ?(s|d|h|min|days|hours|minutes) ", shown), line
    assert "days ahead of the clock" in program("lock", "show").out
    assert program("lock", "show", "--output", "json").json["holders"][0]["state"] == "late"
    assert "its heartbeat is late" in program("doctor", expect=None).out
    status = program("status").out
    assert re.search("last packed .* ahead of the clock", status)
    assert re.search("the last cycle refused .* ahead of the clock", status)
    assert exported(program, "des_migration_last_progress_timestamp_seconds") == 0


def test_a_row_that_was_deleted(sqlite_archive: Archive, program: Program) -> None:
    sqlite_archive.config.execute("DELETE FROM des_archive_config")
    for line in ("status", "progress", "doctor", "run"):
        assert "put it back" in typed(program, line), line
