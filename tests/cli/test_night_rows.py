"""Rows that vanish from the table: a day deleted, an older copy restored, and both ways round."""

from datetime import UTC, date, datetime, timedelta

import pytest

from cli.conftest import Archive, Program


@pytest.fixture
def packed(archive: Archive, program: Program) -> Archive:
    program("run")
    return archive


def delete_where(archive: Archive, condition: str) -> int:
    return archive.source.execute(f"DELETE FROM files WHERE {condition}")


def rows_of(archive: Archive, day: date) -> set[str]:
    return {uid for uid, row in archive.table.rows.items() if row.created_at.date() == day}


def delete_day(archive: Archive, day: date) -> int:
    uids = "', '".join(rows_of(archive, day))
    return delete_where(archive, f"uid IN ('{uids}')")


def test_a_deleted_day_is_told_with_a_line_of_its_own(packed: Archive, program: Program) -> None:
    day = date(2024, 1, 9)
    gone = delete_day(packed, day)
    done = program("reconcile", expect=4)
    assert f"{gone} rows of the ledger are gone from the table" in done.err
    [line] = [line for line in done.out.splitlines() if line.startswith(day.isoformat())]
    assert line.split()[-1] == str(gone)
    assert "the last reconcile refused" in program("progress").out
    assert "are gone from the table" in program("doctor", expect=4).out


def test_some_rows_of_a_day(packed: Archive, program: Program) -> None:
    some = sorted(rows_of(packed, date(2024, 1, 8)))[:3]
    delete_where(packed, "uid IN ('" + "', '".join(some) + "')")
    shown = program("reconcile", "--output", "json", expect=4).json
    assert (shown["gone"], shown["late"]) == (3, 0)
    assert [f["gone"] for f in shown["findings"]] == [3]


def test_as_many_deleted_as_came_late(packed: Archive, program: Program) -> None:
    """The counts agree by chance; compared row by row both are found."""
    day = date(2024, 1, 8)
    victim = min(rows_of(packed, day))
    delete_where(packed, f"uid = '{victim}'")
    packed.table.add("777", datetime(2024, 1, 8, 12, tzinfo=UTC))
    shown = program("reconcile", "--every-day", "--output", "json", expect=4).json
    assert (shown["gone"], shown["late"]) == (1, 1)


def test_deleted_on_purpose_is_no_news_any_more(packed: Archive, program: Program) -> None:
    gone = delete_day(packed, date(2024, 1, 9))
    program("reconcile", "--accept-gone", "--yes", expect=2)
    done = program("reconcile", "--accept-gone", "--reason", "ticket 12", "--yes")
    assert f"accepted: {gone} rows gone" in done.out
    action, *_, reason, _ = packed.events()[-1]
    assert (action, reason) == ("gone rows accepted", "ticket 12")
    program("reconcile")
    assert program("progress", "--output", "json").json["health"] == []
    delete_day(packed, date(2024, 1, 8))
    assert program("reconcile", "--output", "json", expect=4).json["gone"] > 0


def test_an_older_copy_of_the_table(packed: Archive, program: Program) -> None:
    """Restored from the day before yesterday: what was packed since has no rows."""
    for day in (8, 9, 10):
        delete_day(packed, date(2024, 1, day))
    said = " ".join(program("doctor", expect=4).out.split())
    assert "an older copy of it" in said
    assert "des-admin reconcile --since" in said
    since = (date(2024, 1, 10) - timedelta(days=7)).isoformat()
    assert "are gone from the table" in program("reconcile", "--since", since, expect=4).err


def test_nothing_is_packed_beside_an_older_copy_of_the_table(
    packed: Archive, program: Program
) -> None:
    """Its windows would close empty, and what is restored later would lie below the watermark."""
    packed.source.execute("CREATE TABLE kept AS SELECT * FROM files")
    program("watermark", "lag", "1", "--yes", "--reason", "test")
    mark = program("watermark", "show", "--output", "json").json["archived_until"]
    delete_where(packed, "created_at >= '2024-01-08'")
    for command in (["run"], ["run", "--dry-run"]):
        refused = program(*command, expect=4).err
        assert "has no row of that day or later" in refused
        assert "--accept-gone" in refused
    assert program("watermark", "show", "--output", "json").json["archived_until"] == mark
    packed.source.execute("DELETE FROM files")
    assert "has no row of that day" in program("run", expect=4).err
    packed.source.execute("INSERT INTO files SELECT * FROM kept")
    program("run")
    program("reconcile")


def test_a_table_that_was_emptied_on_purpose_is_packed_on(
    packed: Archive, program: Program
) -> None:
    delete_where(packed, "created_at >= '2024-01-08'")
    program("run", expect=4)
    program("reconcile", "--accept-gone", "--reason", "a tenant left", "--yes")
    program("run")


def test_the_other_way_round_a_newer_table_beside_an_older_ledger(
    packed: Archive, program: Program
) -> None:
    """The config database was restored: its watermark is behind, and nothing is gone."""
    program("watermark", "rewind", "2024-01-08", "--yes")
    program("reconcile")
    shown = {c["name"]: c["status"] for c in program("doctor", "--output", "json").json["checks"]}
    assert shown["rows"] == "ok"


def test_before_the_ledger_began_nothing_is_missed(archive: Archive, program: Program) -> None:
    """The first day of the ledger was packed in per-record mode in part."""
    program("run")
    program("reconcile")
