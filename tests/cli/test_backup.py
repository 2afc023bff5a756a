"""`des-admin backup` as an operator meets it."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.conftest import Archive, Program, write_config
from des_core.backup.claims import try_claim
from des_core.backup.manifest import seal
from des_core.backup.store import load_entry
from support.pages.endpoints import wait_until
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.limited_user import limited_user
from support.servers.processes import has_ended


@pytest.fixture
def backups(project: Path) -> Path:
    return project / "backups"


def _configure(project: Path, database: TestDatabase, backups: Path) -> None:
    extra = f"backup:\n  dir: {json.dumps(str(backups))}\n"
    write_config(project, database.url, extra=extra)


def test_create_check_and_list_before_the_migration(
    program: Program,
    project: Path,
    database: TestDatabase,
    backups: Path,
    files_table: FilesTableFactory,
) -> None:
    files_table(database, rows=60, files=False)
    _configure(project, database, backups)
    created = program("backup", "create", "--output", "json")
    [made] = created.json["backups"]
    assert created.json["schema"] == "des-admin/backup-create/1"
    assert made["levels"] == {"L0": "warning", "L1": "ok", "L2": "ok", "L3": "skipped"}
    assert [finding["code"] for finding in made["findings"]] == ["same_disk"]
    assert "there is no audit trail before" in created.err
    checked = program("backup", "check", "--deep", "--output", "json")
    [report] = checked.json["backups"]
    assert (report["name"], report["good_to_level"]) == (made["name"], 3)
    [line] = program("backup", "list", "--output", "json").json["backups"]
    assert [(table["table"], table["rows"]) for table in line["tables"]] == [("files", 60)]
    assert "good to L2" in program("backup", "check").out


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_doctor_names_what_was_never_finished(
    program: Program,
    project: Path,
    database: TestDatabase,
    backups: Path,
    files_table: FilesTableFactory,
) -> None:
    files_table(database, rows=60, files=False)
    _configure(project, database, backups)
    program("migrate", "up", "--yes")
    program("backup", "create")

    def look() -> dict[str, str]:
        checks = program("doctor", "--output", "json", expect=None).json["checks"]
        return next(check for check in checks if check["name"] == "backup")

    assert look()["status"] == "ok"
    left = backups / "20240101T000000Z_des.unfinished"
    left.mkdir()
    assert (look()["status"], left.name in look()["detail"]) == ("warning", True)
    claim = try_claim(left)
    assert claim is not None
    assert look()["status"] == "ok", "somebody is at work on it"
    claim.release()
    assert left.name in program("backup", "list").out


def test_result_is_recorded_and_listed(
    program: Program, project: Path, archive: Archive, backups: Path
) -> None:
    _configure(project, archive.source, backups)
    program("backup", "create")
    actions = [event[0] for event in archive.events()]
    assert actions[-2:] == ["backup_create", "backup_check"]
    [line] = program("backup", "list", "--output", "json").json["backups"]
    assert line["last_check"]["is_good"] is True
    assert line["revision"] == ["0002_created_at_index", "0003_watermark"]
    assert "good to L2" in program("backup", "list").out


def test_damage_is_found_and_recorded(
    program: Program, project: Path, archive: Archive, backups: Path
) -> None:
    _configure(project, archive.source, backups)
    program("backup", "create")
    [backup] = backups.iterdir()
    data = max(
        backup.iterdir(), key=lambda path: (path.name != "manifest.json", path.stat().st_size)
    )
    flipped = bytearray(data.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    data.write_bytes(flipped)
    done = program("backup", "check", expect=4)
    assert "FAILED" in done.out
    assert "des-admin backup create" in done.out
    assert "FAILED" in program("backup", "list").out


def test_nagios_says_it_in_one_line(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    nothing = program("backup", "check", "--output", "nagios", expect=2)
    assert nothing.out.startswith("BACKUP CRITICAL - no backup of source")
    program("backup", "create", "--database", "source")
    warned = program("backup", "check", "--output", "nagios", expect=1)
    first, *details = warned.out.splitlines()
    assert first.startswith("BACKUP WARNING - ")
    assert "|" in first and "age=" in first
    assert any("same disk" in line for line in details)
    old = program("backup", "check", "--max-age", "0.0001s", "--output", "nagios", expect=2)
    assert "hours old" in old.out
    shutil.move(project / "des-admin.yaml", project / "gone.yaml")
    unknown = program("backup", "check", "--output", "nagios", expect=3)
    assert unknown.out.startswith("BACKUP UNKNOWN - there is no configuration file")


def test_both_databases_are_backed_up_where_there_are_two(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    extra = f"backup:\n  dir: {json.dumps(str(backups))}\n"
    write_config(
        project, sqlite_archive.source.url, config_url=sqlite_archive.config.url, extra=extra
    )
    program("backup", "create")
    found = program("backup", "list", "--output", "json").json["backups"]
    assert sorted(tuple(line["roles"]) for line in found) == [("config",), ("source",)]
    [config] = [line for line in found if line["roles"] == ["config"]]
    assert config["watermark"]["lag_days"] == 7
    assert len(program("backup", "check", "--output", "json").json["backups"]) == 2


def test_unreachable_database_still_lets_bytes_be_checked(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    program("backup", "create")
    assert sqlite_archive.source.path is not None
    sqlite_archive.source.path.unlink()
    done = program("backup", "check", "--output", "json")
    [report] = done.json["backups"]
    assert report["levels"]["L1"] == "ok"
    assert "not_compared" in [finding["code"] for finding in report["findings"]]
    assert "not recorded" in done.err


def test_wrong_use_is_explained(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    write_config(project, sqlite_archive.source.url)
    assert "backup.dir" in program("backup", "list", expect=2).err
    line = ("backup", "create", "--dir", str(backups))
    assert "copied whole" in program(*line, "--tables", "files", expect=2).err
    assert "not as directory" in program(*line, "--format", "directory", expect=2).err
    assert list(backups.glob("*")) == []
    assert "backup list" in program("backup", "check", "x", "--dir", str(backups), expect=2).err


RECORDED = Path(__file__).parents[1] / "backup" / "recorded"


def test_answers_of_other_tools_are_read_from_files(
    program: Program, project: Path, sqlite_archive: Archive
) -> None:
    write_config(project, sqlite_archive.source.url)
    line = ("backup", "check", "--tool", "pgbackrest", "main", "--offline", "--output", "json")
    fresh = ("--max-age", "40000d", "--level", "1")
    answers = ("--answer", str(RECORDED / "pgbackrest_info.json"))
    answers += ("--answer", str(RECORDED / "pgbackrest_wal.json"))
    good = ("--answer", str(RECORDED / "pgbackrest_verify_good.txt"))
    [report] = program(*line, *fresh, *answers, *good).json["backups"]
    assert (report["good_to_level"], report["details"]["made by"]) == (1, "pgbackrest")
    bad = ("--answer", str(RECORDED / "pgbackrest_verify_damaged.txt"))
    [report] = program(*line, *fresh, *answers, *bad, expect=4).json["backups"]
    assert report["levels"]["L1"] == "failed"


def test_other_tools_want_a_name_and_an_answer(
    program: Program, project: Path, sqlite_archive: Archive
) -> None:
    write_config(project, sqlite_archive.source.url)
    line = ("backup", "check", "--offline", "--tool")
    assert "the stanza" in program(*line, "pgbackrest", expect=2).err
    assert "the directory of the dump" in program(*line, "mydumper", expect=2).err
    strange = project / "answer.json"
    strange.write_text("ERROR: [055]: unable to open the repository")
    done = program(*line, "pgbackrest", "main", "--answer", str(strange), expect=2)
    assert "is not JSON" in done.err
    nagios = program(*line, "wal-g", "--answer", str(strange), "--output", "nagios", expect=3)
    assert nagios.out.startswith("BACKUP UNKNOWN")


def test_manifest_sealed_anew_is_not_the_one_that_was_recorded(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    program("migrate", "up", "--yes")
    program("backup", "create", "--database", "source")
    stored = load_entry(next(backups.iterdir())).stored
    assert stored is not None
    forged = replace(stored.manifest, des_admin="99")
    (stored.path / "manifest.json").write_text(seal(forged)[0])
    for _ in range(2):
        done = program("backup", "check", "--output", "json", expect=4)
        codes = [finding["code"] for finding in done.json["backups"][0]["findings"]]
        assert "resealed" in codes


def test_dump_without_a_manifest_is_explained(
    program: Program, project: Path, sqlite_archive: Archive
) -> None:
    write_config(project, sqlite_archive.source.url)
    (project / "backup_20241203.sql").write_text("-- PostgreSQL database dump\n")
    done = program("backup", "check", "./backup_20241203.sql", expect=2)
    assert "nobody wrote down" in done.err


def test_restores_are_tried_on_the_scratch_server(
    program: Program,
    project: Path,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    backups: Path,
) -> None:
    database, scratch = make_database("postgres"), make_database("postgres")
    files_table(database, rows=40, files=False)
    extra = (
        f"backup:\n  dir: {json.dumps(str(backups))}\n  scratch_url: {json.dumps(scratch.url)}\n"
    )
    write_config(project, database.url, extra=extra)
    program("backup", "create")
    with limited_user(database, ["GRANT SELECT ON files"]) as reader:
        write_config(project, reader.url, extra=extra)
        [report] = program("backup", "check", "--deep", "--output", "json").json["backups"]
        assert report["good_to_level"] == 3
        write_config(project, reader.url, extra=f"backup:\n  dir: {json.dumps(str(backups))}\n")
        checked = program("backup", "check", "--deep", "--output", "json", expect=4)
    [report] = checked.json["backups"]
    assert (report["good_to_level"], report["levels"]["L3"]) == (2, "unknown")
    assert report["is_good"] is True


def test_prune_is_planned_confirmed_and_recorded(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    program("migrate", "up", "--yes")
    for _ in range(3):
        program("backup", "create", "--database", "source")
    (backups / "29990101T000000Z_x.unfinished").mkdir()
    names = sorted(path.name for path in backups.iterdir())
    line = ("backup", "prune", "--keep-last", "2")
    planned = program(*line, "--dry-run", "--output", "json").json
    fates = {item["name"]: item["fate"] for item in planned["backups"]}
    assert (planned["done"], sorted(fates)) == (False, names)
    assert [fates[name] for name in names] == ["removed", "kept", "kept", "left"]
    assert "--confirm 1" in program(*line, expect=4).err
    assert "does not match" in program(*line, "--confirm", "2", expect=4).err
    assert sorted(path.name for path in backups.iterdir()) == names
    assert "removed: 1" in program(*line, "--yes").out
    assert sorted(path.name for path in backups.iterdir()) == names[1:]
    event = program("watermark", "history", "--output", "json").json["events"][0]
    assert (event["action"], event["details"]["removed"]) == ("backup_prune", names[:1])
    again = program(*line, "--yes", "--output", "json").json
    assert (again["done"], len(again["backups"])) == (False, 3)


def test_backup_that_a_drop_relied_on_stays(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    program("migrate", "up", "--yes")
    program("backup", "create", "--database", "source")
    [relied_on] = [path.name for path in backups.iterdir()]
    program("migrate", "up", "--drop-archived", "--yes")
    program("backup", "create", "--database", "source")
    program("backup", "create", "--database", "source")
    planned = program("backup", "prune", "--keep-last", "1", "--yes", "--output", "json").json
    why = {item["name"]: item["why"] for item in planned["backups"]}
    assert "dropped on it" in why[relied_on]
    assert len(list(backups.iterdir())) == 2 and (backups / relied_on).exists()


def test_restore_plan_names_the_newest_that_is_good(
    program: Program, project: Path, sqlite_archive: Archive, backups: Path
) -> None:
    _configure(project, sqlite_archive.source, backups)
    program("backup", "create", "--database", "source")
    [good] = [path.name for path in backups.iterdir()]
    program("backup", "create", "--database", "source")
    [newer] = [path.name for path in backups.iterdir() if path.name != good]
    data = backups / newer / "data.sqlite"
    data.write_bytes(data.read_bytes()[:-4096])
    (backups / "29990101T000000Z_x.unfinished").mkdir()
    done = program("backup", "restore-plan", "--database", "source")
    assert f"{newer} is not used" in done.err
    assert good in done.out and newer not in done.out
    assert newer in program("backup", "restore-plan", newer).out
    shutil.rmtree(backups / good)
    assert "no good backup" in program("backup", "restore-plan", expect=4).err
    assert (
        "never finished"
        in program("backup", "restore-plan", "29990101T000000Z_x.unfinished", expect=2).err
    )


def test_tool_that_hangs_is_not_waited_for(
    program: Program, project: Path, sqlite_archive: Archive
) -> None:
    """A pager wants an answer in time; the tool and what it started are gone then."""
    write_config(project, sqlite_archive.source.url)
    programs = project / "bin"
    programs.mkdir()
    (programs / "pgbackrest").write_text(f"#!/bin/sh\nsleep 987 & echo $! > {project}/pid\nwait\n")
    (programs / "pgbackrest").chmod(0o755)
    path = {"PATH": f"{programs}:/usr/bin:/bin"}
    line = ("backup", "check", "--tool", "pgbackrest", "main", "--timeout", "3s")
    done = program(*line, "--output", "nagios", env=path, separate=True, expect=3)
    assert done.out.startswith("BACKUP UNKNOWN - ") and "3 s" in done.out
    child = int((project / "pid").read_text())
    wait_until(lambda: has_ended(child))
    done = program(*line, env=path, separate=True, expect=4)
    assert "--timeout" in done.err


def test_database_that_never_answers_is_not_waited_for(program: Program, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://u:p@127.0.0.1:{silent.getsockname()[1]}/x"
        write_config(project, url, extra=f"backup:\n  dir: {json.dumps(str(project))}\n")
        line = ("backup", "check", "--tool", "barman", "main", "--timeout", "2s")
        done = program(*line, "--output", "nagios", separate=True, expect=3)
    assert done.out.startswith("BACKUP UNKNOWN - it took longer than 2 s")
