"""`des-admin exceptions`: list, and close with a number and a reason."""

import csv
import io

from cli.conftest import Archive, Program


def test_list(archive: Archive, program: Program) -> None:
    shown = program("exceptions", "list", "--output", "json").json
    assert {item["uid"] for item in shown["exceptions"]} == archive.table.holes
    assert [(r["reason"], r["files"]) for r in shown["by_reason"]] == [("pending_at_seed", 3)]
    assert program("exceptions", "list", "--only", "missing", "-q").out.count("pending_at") == 1
    rows = list(csv.DictReader(io.StringIO(program("exceptions", "list", "--format", "csv").out)))
    assert {row["uid"] for row in rows} == archive.table.holes
    limited = program("exceptions", "list", "--limit", "2")
    assert "only the newest 2 of 3" in limited.err


def test_resolve_wants_number_and_reason(archive: Archive, program: Program) -> None:
    line = ["exceptions", "resolve", "--only", "pending_at_seed"]
    assert "3 to close" in program(*line, "--dry-run").out
    program(*line, "--confirm", "2", "--reason", "x", expect=4)
    program(*line, "--confirm", "3", expect=2)
    program(*line, "--reason", "x", expect=4)
    assert len(archive.exceptions()) == 3
    program(*line, "--confirm", "3", "--reason", "accounted for")
    assert archive.exceptions() == {}
    assert archive.events()[-1][0] == "exceptions resolve"
    assert archive.events()[-1][3] == "accounted for"


def test_resolve_one_file(archive: Archive, program: Program) -> None:
    uid = min(archive.table.holes)
    program("exceptions", "resolve", "--uid", uid, "--confirm", "1", "--reason", "ticket 12")
    assert set(archive.exceptions()) == archive.table.holes - {uid}


def test_resolve_never_means_all(sqlite_archive: Archive, program: Program) -> None:
    assert "name the exceptions" in program("exceptions", "resolve", "--reason", "x", expect=2).err


def test_a_list_without_a_match_says_so(archive: Archive, program: Program) -> None:
    shown = program("exceptions", "list", "--uid", "nobody").out
    assert "No open exception matches" in shown
    assert "All open ones by reason" in shown


def test_a_reason_that_no_exception_has_is_wrong_usage(
    sqlite_archive: Archive, program: Program
) -> None:
    for line in ("list", "retry --yes", "resolve --reason x --confirm 1"):
        done = program("exceptions", *line.split(), "--only", "lost for good", expect=2)
        assert "pending_at_seed, missing" in done.err, line


def test_confirming_files_where_there_are_none_is_refused(
    sqlite_archive: Archive, program: Program
) -> None:
    line = ["exceptions", "resolve", "--uid", "nobody", "--reason", "x"]
    assert "no open exception matches" in program(*line).out
    assert "does not match" in program(*line, "--confirm", "1", expect=4).err
