"""Exceptions as people look at them: what they have in common, with paths, the newest first."""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from des_core.ledger.exception_groups import GroupBy, group_exceptions
from des_core.ledger.exceptions import OpenException

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def an_exception(number: int, location: str | None, reason: str = "missing") -> OpenException:
    return OpenException(
        exception_id=number,
        uid=str(number),
        created_at=NOW - timedelta(days=number % 7),
        location=location,
        archived=False,
        reason=reason,
        attempts=1,
        last_error=None,
        first_seen=NOW,
        last_seen=NOW + timedelta(seconds=number),
        next_attempt=None,
    )


def test_a_directory_that_is_gone_is_the_news(archive: Archive, program: Program) -> None:
    root = archive.table.root
    config = archive.project / "des-admin.yaml"
    config.write_text(config.read_text() + "migration: {max_failure_ratio: 1.0}\n")
    shutil.rmtree(root)
    program("run", expect=3)
    said = " ".join(program("exceptions", "list").out.split())
    assert f"below {root}, which does not exist" in said
    assert "all " in said
    shown = program("exceptions", "list", "--output", "json").json
    [missing] = [g for g in shown["groups"] if g["reason"] == "missing"]
    assert (missing["below"], missing["absent"]) == (str(root), str(root))
    assert missing["held"] == missing["files"] > 50


def test_paths_are_shown_and_the_newest_come_first(archive: Archive, program: Program) -> None:
    first, second = sorted(archive.table.rows.values(), key=lambda row: row.created_at)[-2:]
    for row in (first, second):
        Path(row.location).unlink()
    program("run", expect=3)
    said = program("exceptions", "list").out
    assert first.location in said
    wide = program("exceptions", "list", "-o", "wide").out
    assert "No such file" in wide
    shown = program("exceptions", "list", "--output", "json").json["exceptions"]
    seen = [item["last_seen"] for item in shown]
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("by", ["reason", "directory", "day"])
def test_each_grouping_counts_all(archive: Archive, program: Program, by: str) -> None:
    shown = program("exceptions", "list", "--group-by", by, "--output", "json").json
    assert sum(group["files"] for group in shown["groups"]) == 3
    program("exceptions", "list", "--group-by", by, "--format", "csv")
    assert "The newest" not in program("exceptions", "list", "--group-by", by).out


def test_one_stray_path_hides_no_directory(tmp_path: Path) -> None:
    items = [an_exception(n, f"/nowhere/src/{n % 5}/{n}") for n in range(199)]
    [group] = group_exceptions([*items, an_exception(999, f"{tmp_path}/x")])
    assert (group.below, group.absent, group.held) == ("/nowhere/src", "/nowhere", 199)
    assert group.where == "199 of 200 below /nowhere/src; /nowhere does not exist"


def test_objects_have_prefixes_and_nobody_asks_for_them() -> None:
    items = [an_exception(n, f"s3://bucket/a/{n}.bin") for n in range(10)]
    [group] = group_exceptions(items)
    assert (group.below, group.absent) == ("s3://bucket/a", None)


def test_many_places_and_no_place_at_all() -> None:
    items = [an_exception(n, f"/p{n}/x") for n in range(10)]
    [group] = group_exceptions(items)
    assert group.where == "in many places"
    [group] = group_exceptions([an_exception(1, None)])
    assert group.where == "no location"


def test_fifty_thousand_cost_a_second() -> None:
    items = [an_exception(n, f"/data/src/{n % 400}/{n % 7}/{n}.bin") for n in range(50_000)]
    for by in GroupBy:
        began = time.process_time()
        group_exceptions(items, by)
        assert time.process_time() - began < 1.0, by
