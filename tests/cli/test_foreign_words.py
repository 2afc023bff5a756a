"""What others say on our screens is shown, and not obeyed: other sessions, tables, file names."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.conftest import Archive, Program
from cli.test_hostile_rows import is_clean
from des_core.backup.manifest import read_manifest, seal
from support.servers.database import TestDatabase

ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202e"
FORGED = f"{ESCAPE}\nerror: forged\u2028error: forged\x85error: forged"
# Each column of ours that holds a text, but for what other columns or shards must agree with.
TEXTS = {
    "des_archive_event": ("actor", "action", "from_value", "reason", "details"),
    "des_archive_exception": ("uid", "location", "reason", "last_error", "resolution"),
    "des_archive_job": ("details", "cursor_uid"),
    "des_archive_lease": ("purpose", "host", "process"),
    "des_archive_outcome": ("job", "actor", "message", "hint"),
    "des_archive_damage": ("verdict", "problem"),
    "des_archive_slice": ("kind", "versions"),
    "des_archive_config": ("updated_by",),
}
COMMANDS = (
    *("status", "doctor --all", "progress", "progress --daily", "progress --format html"),
    *("progress --format markdown", "progress --format csv", "exceptions list -o wide"),
    *("exceptions list --group-by directory", "exceptions list --limit 100 --format csv"),
    *("exceptions list --limit 100 --format markdown", "watermark show", "watermark history"),
    *("watermark history --check", "lock show", "lock break --dry-run", "migrate status"),
    *("migrate plan --down", "verify", "reconcile", "run --dry-run", "run"),
    *("exporter --once", "compliance sync --dry-run"),
    *("ledger rebuild --dry-run", "exceptions retry --dry-run", "lock break --yes"),
)


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_the_statement_of_another_session(archive: Archive, program: Program) -> None:
    """`migrate plan` names who holds `files`, and what for."""
    with archive.source.session() as session:
        session.execute(sa.text(f"SELECT COUNT(*) /* {ESCAPE} */ FROM files"))
        shown = program("migrate", "plan", "--down").out
    assert "holds files now" in shown
    assert is_clean(shown)


def fill(database: TestDatabase) -> None:
    """A row in the tables that a run leaves empty: a lease that is held, damage, a job."""
    times = "'2024-01-01 00:00:00.000000'"
    database.execute("DELETE FROM des_archive_lease")
    database.execute(
        "INSERT INTO des_archive_lease (name, token, purpose, host, pid, process, acquired_at,"
        " heartbeat_at, expires_at, beat, last_commit) VALUES ('writer', 't', 'p', 'h', 1, 'x',"
        f" {times}, {times}, '2999-01-01 00:00:00.000000', 1, '')"
    )
    database.execute(
        "INSERT INTO des_archive_damage (name, verdict, problem, found_at, seen_at)"
        f" VALUES ('20240101_0_0000.des', 'damaged', 'x', {times}, {times})"
    )
    database.execute(
        "INSERT INTO des_archive_job (name, state, rows_done, started_at, updated_at, details)"
        f" VALUES ('flags_up', 'paused', 0, {times}, {times}, '{{}}')"
    )


@pytest.mark.parametrize("is_lease", [True, False], ids=["lease", "others"])
def test_each_text_of_our_own_tables(
    sqlite_archive: Archive, program: Program, is_lease: bool
) -> None:
    """Who may write the config database may not write on the terminal of whoever reads it."""
    program("run", expect=None)
    program("run", expect=None)
    database = sqlite_archive.config
    for trigger in database.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        database.execute(f'DROP TRIGGER "{trigger[0]}"')
    fill(database)
    for table, columns in TEXTS.items():
        for column in columns if is_lease == (table == "des_archive_lease") else ():
            database.execute(f"UPDATE {table} SET {column} = :t", {"t": FORGED})
    if not is_lease:
        database.execute("DELETE FROM des_archive_lease")
    for command in COMMANDS:
        done = program(*command.split(), expect=None)
        assert done.code not in {1, 2}, (command, done.err)
        assert is_clean(done.out + done.err), (command, done)
        if "--format" not in command:
            lines = (done.out + done.err).splitlines()
            assert not [line for line in lines if line.startswith("error: forged")], command


def test_a_forged_backup_says_nothing_of_its_own(
    sqlite_archive: Archive, program: Program, project: Path
) -> None:
    """Its seal is a hash that anybody can compute; the script is read before it is run."""
    program("backup", "create", "--dir", "backups", "--database", "source")
    [place] = (project / "backups").iterdir()
    tree = json.loads((place / "manifest.json").read_text())
    manifest = read_manifest(place)[0]
    for field in ("product", "version", "database"):
        server = replace(manifest.server, **{field: FORGED})
        forged = replace(manifest, server=server, left_out=(FORGED,), name=f"{tree['name']}")
        (place / "manifest.json").write_text(seal(forged)[0])
        for command in (
            "list",
            f"check {place.name}",
            f"restore-plan {place.name}",
            "restore-plan",
        ):
            done = program("backup", *command.split(), "--dir", "backups", expect=None)
            assert done.code != 1, (command, done)
            assert is_clean(done.out + done.err), (field, command, done)


def test_the_runner_under_its_other_name(program: Program, project: Path) -> None:
    module = "watermark_orchestrator.__main__"
    done = program("--config", f"{ESCAPE}.yaml", "--dry-run", module=module, expect=2)
    assert "there is no configuration file" in done.err
    assert is_clean(done.err)


PUT = {"a FIFO": os.mkfifo, "endless": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", PUT)
def test_what_lies_in_place_of_a_backups_files_stops_nobody(
    sqlite_archive: Archive, program: Program, project: Path, what: str
) -> None:
    program("backup", "create", "--dir", "backups", "--database", "source")
    [place] = (project / "backups").iterdir()
    for name in ("data.sqlite", "manifest.json"):
        (place / name).rename(project / name)
        PUT[what](place / name)
        done = program("backup", "check", place.name, "--dir", "backups", expect=4)
        assert "not a regular file" in done.out + done.err or "missing" in done.out + done.err
        program("backup", "list", "--dir", "backups")
        env = {"DES_ADMIN__BACKUP__DIR": "backups"}
        assert program("doctor", env=env, expect=None).code in {0, 4}
        (place / name).unlink()
        (project / name).rename(place / name)
    claim = place.with_name(f".{place.name}.unfinished.claim")
    place.rename(place.with_name(f"{place.name}.unfinished"))
    PUT[what](claim)
    assert place.name in program("backup", "list", "--dir", "backups").out
