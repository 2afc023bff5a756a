"""`des-admin reconcile`: looks, says so with its exit code, records only when told to."""

from datetime import UTC, datetime, timedelta

from cli.conftest import Archive, Program
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle


def test_reconcile(archive: Archive, program: Program) -> None:
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    assert "0 late" in program("reconcile").out
    archive.table.add("late", datetime(2024, 1, 8, 5, tzinfo=UTC))
    found = program("reconcile", "--output", "json", expect=4)
    assert found.json["late"] == 1
    assert [f["day"] for f in found.json["findings"]] == ["2024-01-08"]
    assert "--record" in found.err
    program("reconcile", "--record", expect=4)
    assert archive.exceptions() == {}
    assert "1 late row is an exception" in program("reconcile", "--record", "--yes", expect=3).out
    assert archive.exceptions() == {"late": ("late", False)}
    assert archive.events()[-1][0] == "late_rows_found"
    assert program("reconcile", "--since", "2024-01-08", "--output", "json").json["late"] == 0


def test_an_empty_ledger_is_said_to_be_empty(sqlite_archive: Archive, program: Program) -> None:
    assert "the ledger is empty" in program("reconcile").out
    since = datetime(2024, 1, 8, tzinfo=UTC) - timedelta(days=9)
    program("reconcile", "--since", since.isoformat(), expect=4)
