"""`des-admin watermark`: what is shown, asked, changed and recorded."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from support.crash.truth import as_utc

SEED = "2024-01-06T22:48:00.150461Z"


def between(archive: Archive, start: str, end: str) -> set[str]:
    low, high = datetime.fromisoformat(start), datetime.fromisoformat(end)
    return {uid for uid, row in archive.table.rows.items() if low < row.created_at <= high}


def position(program: Program) -> str:
    return str(program("watermark", "show", "--output", "json").json["archived_until"])


def test_show(archive: Archive, program: Program) -> None:
    shown = program("watermark", "show", "--output", "json").json
    assert shown["schema"] == "des-admin/watermark-show/1"
    assert shown["archived_until"] == SEED
    assert shown["lag_days"] == 7
    assert shown["lock_holder"] is None
    assert datetime.fromisoformat(shown["target"]) < datetime.now(UTC)
    assert "2024-01-06T22:48:00.150461Z" in program("watermark", "show").out


def test_rewind_replays_and_closes_what_would_flip(archive: Archive, program: Program) -> None:
    holes = archive.table.holes
    replayed = between(archive, "2024-01-01T00:00Z", SEED)
    plan = program("watermark", "rewind", "2024-01-01", "--dry-run", "--output", "json").json
    assert (plan["done"], plan["files"]) == (False, len(replayed))
    flipped = len(holes & replayed)
    assert plan["exceptions_closed"] == flipped > 0
    assert position(program) == SEED
    done = program("watermark", "rewind", "2024-01-01", "--yes", "--reason", "shards lost")
    assert "moved: 2024-01-06T22:48:00.150461Z → 2024-01-01T00:00:00Z" in done.out
    assert "become plainly pending" in done.err
    assert position(program) == "2024-01-01T00:00:00Z"
    assert set(archive.exceptions()) == holes - replayed
    action, start, end, reason, actor = archive.events()[-1]
    assert (action, start, end, reason) == (
        *("watermark rewind", SEED, "2024-01-01T00:00:00Z"),
        "shards lost",
    )
    assert "@" in actor


def test_advance_records_what_it_skips(archive: Archive, program: Program) -> None:
    before = archive.exceptions()
    skipped = between(archive, SEED, "2024-01-08T00:00Z")
    line = ["watermark", "advance", "2024-01-08", "--reason", "packed elsewhere"]
    program(*line, "--confirm", str(len(skipped) + 1), expect=4)
    program(*line, "--yes", expect=4)
    assert position(program) == SEED
    moved = program(*line, "--confirm", str(len(skipped)), "--output", "json").json
    assert (moved["done"], moved["skipped_recorded"]) == (True, len(skipped))
    expected = dict.fromkeys(skipped, ("skipped", False))
    assert archive.exceptions() == before | expected


def test_advance_can_forget_in_so_many_words(archive: Archive, program: Program) -> None:
    before = archive.exceptions()
    number = str(len(between(archive, SEED, "2024-01-08T00:00Z")))
    done = program("watermark", "advance", "2024-01-08", "--forget", "--confirm", number)
    assert "no shard behind it" in done.err
    assert archive.exceptions() == before


def test_there_and_back_leaves_the_formula(archive: Archive, program: Program) -> None:
    program("watermark", "rewind", "5d", "--yes")
    number = str(len(between(archive, "2024-01-01T22:48:00.150461Z", "2024-01-03T00:00Z")))
    program("watermark", "set", "2024-01-03", "--confirm", number)
    rewound = "2024-01-01T22:48:00.150461Z"
    skipped = between(archive, rewound, "2024-01-03T00:00Z")
    older = archive.table.holes & between(archive, "2023-12-01T00:00Z", rewound)
    assert set(archive.exceptions()) == skipped | older


@pytest.mark.parametrize("arguments", [["rewind", "-1d"], ["set", "-1d"], ["rewind", "1d"]])
def test_amounts_are_relative_to_the_watermark(
    arguments: list[str], sqlite_archive: Archive, program: Program
) -> None:
    plan = program("watermark", *arguments, "--dry-run", "--output", "json").json
    assert plan["to"] == "2024-01-05T22:48:00.150461Z"


def test_expect_current(sqlite_archive: Archive, program: Program) -> None:
    line = ["watermark", "rewind", "1d", "--yes", "--expect-current"]
    assert "not where it was expected" in program(*line, "2024-01-06", expect=4).err
    program(*line, SEED)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["set", "yesterday"], 2, "not a time that can be used"),
        (["set", "9999-12-31"], 2, "not a time that can be used"),
        (["set", "2999-01-01"], 4, "cannot lie in the future"),
        (["rewind", "2024-01-08"], 2, "this would move the watermark forward"),
        (["rewind", "+1d"], 2, "goes the other way"),
        (["advance", "2024-01-02"], 2, "this would move the watermark back"),
        (["lag", "-1"], 2, "-1"),
        (["rewind", "1d"], 4, "no terminal to ask on"),
        (["advance", "1d"], 4, "--confirm"),
    ],
)
def test_refusals_change_nothing(
    arguments: list[str], code: int, words: str, sqlite_archive: Archive, program: Program
) -> None:
    before = sqlite_archive.events()
    assert words in program("watermark", *arguments, expect=code).err
    assert position(program) == SEED
    assert sqlite_archive.events() == before


def test_nowhere_is_no_change(sqlite_archive: Archive, program: Program) -> None:
    before = sqlite_archive.events()
    assert "stands there already" in program("watermark", "set", SEED).out
    assert sqlite_archive.events() == before


def test_edits_are_refused_while_a_runner_works(archive: Archive, program: Program) -> None:
    from des_core.database.connections import open_database
    from des_core.locks.lock import hold_lock

    database = open_database(archive.config.url)
    with hold_lock(database, "run"):
        for line in (["rewind", "1d"], ["lag", "3"]):
            done = program("watermark", *line, "--yes", "--output", "json", expect=11)
            assert done.error["facts"]["holder"]
        assert program("watermark", "show", "--output", "json").json["lock_holder"]
    database.close()
    assert position(program) == SEED


def test_lag(archive: Archive, program: Program) -> None:
    program("watermark", "lag", "14", "--yes", "--reason", "late uploads")
    assert program("watermark", "show", "--output", "json").json["lag_days"] == 14
    assert archive.events()[-1][:4] == ("watermark lag", "7", "14", "late uploads")
    assert "already" in program("watermark", "lag", "14").out


def test_history_and_its_seal(archive: Archive, program: Program) -> None:
    program("watermark", "rewind", "1d", "--yes", "--reason", "first")
    shown = program("watermark", "history", "--check", "--output", "json").json
    assert shown["chain"]["broken_at"] is None
    assert shown["events"][0]["reason"] == "first"
    assert "every seal fits" in program("watermark", "history", "--check").out
    archive.config.execute("UPDATE des_archive_event SET reason = 'other' WHERE reason = 'first'")
    broken = program("watermark", "history", "--check", expect=4)
    assert "its content was changed" in broken.out
    program("watermark", "history")


def test_a_head_that_was_kept_elsewhere(archive: Archive, program: Program) -> None:
    program("watermark", "rewind", "1d", "--yes", "--reason", "first")
    head = program("watermark", "history", "--head").out.strip()
    program("watermark", "rewind", "1d", "--yes", "--reason", "second")
    program("watermark", "history", "--check", "--expect", head)
    archive.config.execute("DELETE FROM des_archive_event WHERE reason IN ('first', 'second')")
    alone = program("watermark", "history", "--check", expect=4).out
    assert "every seal fits" in alone, "seals do not tell what was cut off at the end"
    assert "moved back by SQL" in alone, "the row of the watermark does, where it was moved"
    cut = program("watermark", "history", "--check", "--expect", head, expect=4)
    assert "it is missing, and --expect knows it" in cut.out
    program("watermark", "history", "--check", "--expect", "17", expect=2)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM des_archive_event WHERE reason = 'second'",
        "UPDATE des_archive_event SET actor = 'nobody' WHERE reason = 'second'",
        "UPDATE des_archive_event SET to_value = '0' WHERE reason = 'second'",
        "UPDATE des_archive_event SET details = '{}' WHERE reason = 'second'",
        "UPDATE des_archive_event SET event_id = event_id + 1000 WHERE reason = 'second'",
    ],
    ids=["deleted", "actor", "value", "details", "order"],
)
def test_tampering_with_the_trail_is_seen(
    sqlite_archive: Archive, program: Program, tampering: str
) -> None:
    for number, reason in enumerate(("first", "second", "third")):
        program("watermark", "lag", str(20 + number), "--yes", "--reason", reason)
    program("watermark", "history", "--check")
    sqlite_archive.config.execute(tampering)
    done = program("watermark", "history", "--check", "--output", "json", expect=4)
    assert done.json["chain"]["broken_at"] is not None


def test_a_history_that_was_cut_says_so(sqlite_archive: Archive, program: Program) -> None:
    program("watermark", "lag", "8", "--yes")
    assert "only the newest 1 are shown" in program("watermark", "history", "--limit", "1").err
    assert program("watermark", "history").err == ""


AFTER_A_ROLLBACK = (
    *("progress", "progress --daily", "status", "watermark show", "run", "run --dry-run"),
    *("watermark set 2024-01-05 --yes", "watermark advance 1d --yes", "watermark lag 3 --yes"),
    *("watermark adopt --reason x --yes", "reconcile", "compliance sync"),
)


def test_after_a_rollback_every_screen_says_by_whom_and_when(
    archive: Archive, program: Program
) -> None:
    program("migrate", "down", "--yes")
    [(at, actor)] = archive.config.rows(
        "SELECT at, actor FROM des_archive_event WHERE action = 'migrate.down'"
    )
    day = as_utc(at).date()
    for line in AFTER_A_ROLLBACK:
        done = program(*line.split(), expect=12)
        assert f"rolled back at {day}T" in done.err, line
        assert f"by {actor}" in done.err, line
        assert "des-admin migrate plan" in done.err, line
    assert f"rolled back at {day}T" in program("doctor", expect=4).out
    assert program("migrate", "plan").code == 0


def test_after_a_rollback_another_error_is_told_as_it_is(
    archive: Archive, program: Program, project: Path
) -> None:
    program("migrate", "down", "--yes")
    path = project / "des-admin.yaml"
    path.write_text(path.read_text().replace("packer:\n", "  table_name: filez\npacker:\n", 1))
    for line in ("migrate plan", "progress"):
        done = program(*line.split(), expect=12)
        assert "no table filez" in done.err, line
        assert "rolled back" not in done.err, line
