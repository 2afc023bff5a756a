"""`--dry-run` changes nothing: neither a row of either database nor a file, whatever the command.

Each command stands before work that it would do; the same line without `--dry-run` then does it.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Archive, Program, name_roots
from cli.test_flags import COMMANDS, names
from des_core.database.connections import open_database
from des_core.locks.lock import hold_lock
from support.servers.database import TestDatabase

# The runner's own log, and what SQLite keeps beside a database.
OWN_FILES = ("-wal", "-shm", "-journal")
RENDER = ("deploy", "render", "--to", "deployed", "--runbook-url", "https://wiki.example.org/r")


def rows_of(database: TestDatabase) -> dict[str, list[str]]:
    return {
        table: sorted(map(repr, database.rows(f"SELECT * FROM {database.quote(table)}")))
        for table in sorted(database.table_names())
    }


def files_below(*roots: Path) -> dict[str, tuple[int, bytes]]:
    """Path → when it was changed, and its bytes; databases are compared by row."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for root in roots
        for path in sorted(root.rglob("*"))
        if not path.name.endswith(OWN_FILES)
    }


def look(archive: Archive) -> dict[str, Any]:
    return {
        "source": rows_of(archive.source),
        "config": rows_of(archive.config),
        "files": files_below(archive.project, archive.table.root),
    }


def changes(before: Any, after: Any, place: str = "") -> list[str]:
    """Where the two differ."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in sorted(set(before) | set(after))
            for found in changes(before.get(key), after.get(key), f"{place}/{key}")
        ]
    return [place]


def packed(archive: Archive, program: Program) -> None:
    program("run")


def configure_backups(archive: Archive, program: Program) -> None:
    with (archive.project / "des-admin.yaml").open("a") as config:
        config.write(f"backup:\n  dir: {json.dumps(str(archive.project / 'backups'))}\n")


def two_backups(archive: Archive, program: Program) -> None:
    configure_backups(archive, program)
    for _ in range(2):
        program("backup", "create", "--database", "config")


def taken_back(archive: Archive, program: Program) -> None:
    packed(archive, program)
    program("migrate", "down", "--yes")


def moved_by_sql(archive: Archive, program: Program) -> None:
    packed(archive, program)
    archive.config.execute(
        "UPDATE des_archive_config SET archived_until ="
        " strftime('%Y-%m-%d %H:%M:%S.000000', archived_until, '+2 days')"
    )


def other_mark(archive: Archive, program: Program) -> None:
    packed(archive, program)
    mark = archive.project / "output" / "_archive.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"id": "0" * 32}))


def lost_shards(archive: Archive, program: Program) -> None:
    packed(archive, program)
    archive.config.execute("DELETE FROM des_archive_shard")


def late_row(archive: Archive, program: Program) -> None:
    packed(archive, program)
    archive.table.add("late", datetime(2024, 1, 8, 5, tzinfo=UTC))


def gone_row(archive: Archive, program: Program) -> None:
    packed(archive, program)
    uid = max(archive.table.rows.values(), key=lambda row: row.created_at).uid
    archive.source.execute("DELETE FROM files WHERE uid = :uid", {"uid": uid})


def damaged_shard(archive: Archive, program: Program) -> None:
    packed(archive, program)
    shard = max((archive.project / "output").glob("*.des"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-3])


def named_roots(archive: Archive, program: Program) -> None:
    name_roots(archive.project / "des-admin.yaml", archive.table.root)


def past_grace(archive: Archive, program: Program) -> None:
    packed(archive, program)
    path = archive.project / "des-admin.yaml"
    path.write_text(name_roots(path, archive.table.root) + "migration:\n  grace_days: 0\n")


def never_begun(archive: Archive, program: Program) -> None:
    """An archive that was never begun, with its column."""
    program("migrate", "down", "--purge", "--confirm", "0")


@dataclass(frozen=True)
class Case:
    """A line of `des-admin`, what stands before it, and how the real thing ends.

    `number` is the key of the dry run's JSON with the number that `--confirm` wants.
    """

    words: str
    before: Callable[[Archive, Program], None] = lambda archive, program: None
    answer: str = "--yes"
    number: str = ""
    code: int = 0
    dry_code: int = 0


CASES = (
    Case("run", answer=""),
    Case("exceptions retry"),
    Case("exceptions resolve --only pending_at_seed --reason lost", number="files"),
    Case("watermark advance 2024-01-08", number="files"),
    Case("watermark set 2024-01-05"),
    Case("watermark set 2024-01-08 --forget", number="files"),
    Case("watermark rewind 1d"),
    Case("watermark lag 3"),
    Case("watermark adopt", moved_by_sql),
    Case("compliance sync", packed, answer=""),
    Case("migrate up", taken_back),
    Case("migrate up", never_begun),
    Case("migrate down", packed),
    Case("migrate down --purge", packed, number="plan.forgotten_files"),
    Case("backup create --database config", configure_backups, answer=""),
    Case("backup prune --keep-last 1", two_backups),
    Case("backup prune --keep-last 1", two_backups, answer="--confirm 1"),
    Case(" ".join(RENDER), named_roots, answer=""),
    Case("ledger output --adopt", other_mark, dry_code=4),
    Case("ledger rebuild", lost_shards),
    Case("lock break", packed),
    Case("reconcile --record", late_row, code=3, dry_code=4),
    Case("reconcile --accept-gone --reason asked", gone_row, dry_code=4),
    Case("sources delete", past_grace),
    Case("sources delete", past_grace, number="files"),
    Case("verify --repair", damaged_shard, dry_code=20),
)


def named_by(words: str) -> str:
    """The command of a line."""
    found = [name for program, name in COMMANDS if program == "des-admin"]
    return max((name for name in found if f"{words} ".startswith(f"{name} ")), key=len)


def test_every_command_with_a_dry_run_is_tried() -> None:
    wanted = {
        name
        for (program, name), command in COMMANDS.items()
        if program == "des-admin" and "--dry-run" in names(command)
    }
    assert {named_by(case.words) for case in CASES} == wanted


@contextmanager
def somebody_at_work(archive: Archive, words: str) -> Iterator[None]:
    """The holder whose lock is broken."""
    if words != "lock break":
        yield
        return
    database = open_database(archive.config.url)
    with hold_lock(database, "run"):
        yield
    database.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.words} {case.number}".strip())
def test_a_dry_run_changes_nothing(case: Case, sqlite_archive: Archive, program: Program) -> None:
    case.before(sqlite_archive, program)
    line = case.words.split()
    with somebody_at_work(sqlite_archive, case.words):
        before = look(sqlite_archive)
        dry = program(*line, "--dry-run", "--output", "json", expect=case.dry_code)
        program(*line, "--dry-run", expect=case.dry_code)
        assert changes(before, look(sqlite_archive)) == []
        answer = case.answer.split()
        if case.number:
            value = dry.json
            for key in case.number.split("."):
                value = value[key]
            assert value > 0
            answer = ["--confirm", str(value)]
        program(*line, *answer, expect=case.code)
        assert changes(before, look(sqlite_archive)) != []


def test_the_runner_of_a_scheduler_changes_nothing_either(
    sqlite_archive: Archive, program: Program
) -> None:
    before = look(sqlite_archive)
    words = ("--config", "des-admin.yaml", "--dry-run")
    program(*words, module="watermark_orchestrator.__main__")
    assert changes(before, look(sqlite_archive)) == []


def test_a_dry_run_makes_no_output_directory(sqlite_archive: Archive, program: Program) -> None:
    shutil.rmtree(sqlite_archive.project / "output")
    before = look(sqlite_archive)
    program("run", "--dry-run", expect=None)
    assert changes(before, look(sqlite_archive)) == []


def test_packing_per_record_changes_nothing(sqlite_archive: Archive, program: Program) -> None:
    program("migrate", "down", "--yes")
    before = look(sqlite_archive)
    words = ("--config", "des-admin.yaml", "--dry-run")
    shown = program(*words, module="des_admin.per_record_cli").out
    assert changes(before, look(sqlite_archive)) == []
    pending = sum(not row.archived for row in sqlite_archive.table.rows.values())
    assert f"{pending} of" in shown
    program(*words[:2], module="des_admin.per_record_cli")
    assert changes(before, look(sqlite_archive)) != []
    assert "0 of 0 days" in program(*words, module="des_admin.per_record_cli").out
