"""What other tools answer, as recorded, comes down to the right verdict."""

import gzip
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from des_core.backup.findings import CheckReport, Level, Status
from des_core.backup.foreign.answer import Tool
from des_core.backup.foreign.ask import Question, check_foreign
from des_core.backup.foreign.wal import WalRange
from des_core.backup.identity import LiveServer, Target
from des_core.backup.live import Live
from des_core.backup.manifest import ServerIdentity
from des_core.backup.presence import Surroundings
from des_core.basics.errors import Refused, UsageError

RECORDED = Path(__file__).parent / "recorded"
INFO = "pgbackrest_info.json"
WAL = "pgbackrest_wal.json"
BARMAN = ("barman_show_backup.json", "barman_list_files.json")


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


def system_id_of(name: str) -> str:
    if name.startswith("pgbackrest"):
        return str(json.loads(recorded(name))[0]["db"][0]["system-id"])
    return str(json.loads(recorded("barman_show_backup.json"))["main"].get("system_id", ""))


def surroundings(at: datetime, server_id: str | None = None) -> Surroundings:
    """A moment, and the server that is configured, if one answers."""
    live = None
    if server_id is not None:
        identity = ServerIdentity("postgres", "PostgreSQL", "15.18", server_id, "archive_db", "db")
        server = LiveServer(identity, (15,), None, None)
        live = Live(target=_no_target(), server=server, revision=())
    return Surroundings(now=at, max_age_hours=24, live=live)


def _no_target() -> Target:
    """Nothing of the target is asked in these tests."""
    return Target.__new__(Target)


def ask(
    tool: Tool, *names: str, level: Level = Level.L0, hours: float = 1, server: str | None = None
) -> CheckReport:
    """The verdict on recorded answers, some hours after the newest backup began."""
    answers = tuple(map(recorded, names))
    question = Question(tool, "main", level, answers=answers)
    began = check_foreign(question, surroundings(datetime(2030, 1, 1, tzinfo=UTC))).snapshot_at
    assert began is not None
    return check_foreign(question, surroundings(began + timedelta(hours=hours), server))


def codes(report: CheckReport) -> set[str]:
    return {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        (Tool.PGBACKREST, (INFO, WAL)),
        (
            Tool.BARMAN,
            ("barman_check.json", "barman_list_files.json", "barman_show_backup.json"),
        ),
        (Tool.WAL_G, ("wal_g_backup_list.json",)),
        (Tool.WAL_G, ("wal_g_backup_list_mysql.json",)),
    ],
    ids=["pgbackrest", "barman", "wal-g", "wal-g-mysql"],
)
def test_fresh_backup_is_good_and_an_old_one_is_not(tool: Tool, names: tuple[str, ...]) -> None:
    report = ask(tool, *names)
    assert (codes(report), report.level) == ({"not_compared"}, Level.L0)
    assert report.statuses[Level.L1] is Status.SKIPPED
    assert report.size_bytes
    assert codes(ask(tool, *names, hours=25)) >= {"too_old"}
    assert codes(ask(tool, *names, hours=-1)) >= {"from_the_future"}


def test_server_is_compared() -> None:
    """By what the backup says of itself: Barman 3.4 says nothing but in its WAL."""
    assert codes(ask(Tool.PGBACKREST, INFO, WAL, server=system_id_of(INFO))) == set()
    assert codes(ask(Tool.PGBACKREST, INFO, WAL, server="1")) == {"wrong_server"}
    assert codes(ask(Tool.BARMAN, *BARMAN, server="1")) == {"not_compared"}
    tree = json.loads(recorded(BARMAN[0]))
    tree["main"]["system_id"] = "2"
    report = _changed(Tool.BARMAN, tree, recorded(BARMAN[1]), server="1")
    assert "wrong_server" in codes(report)


def test_wal_must_be_there_from_start_to_stop() -> None:
    """What was not told is unknown: no level is reached, so no gate opens."""
    for tool, names in ((Tool.PGBACKREST, (INFO, WAL)), (Tool.BARMAN, BARMAN)):
        assert ask(tool, *names).level is Level.L0
        silent = ask(tool, names[0])
        assert ("wal_unknown" in codes(silent), silent.level) == (True, None)
    listing = json.loads(recorded(WAL))
    gone = {path: item for path, item in listing.items() if "000000010000000000000003-" not in path}
    assert "wal_missing" in codes(_changed(Tool.PGBACKREST, json.loads(recorded(INFO)), gone))
    empty = {path: {**item, "size": 0} for path, item in listing.items()}
    assert "wal_missing" in codes(_changed(Tool.PGBACKREST, json.loads(recorded(INFO)), empty))
    paths = {"_INFO": json.loads(recorded(BARMAN[1]))["_INFO"][1:]}
    assert "wal_missing" in codes(_changed(Tool.BARMAN, json.loads(recorded(BARMAN[0])), paths))


def test_backup_of_the_cluster_before_a_stanza_upgrade() -> None:
    tree = json.loads(recorded(INFO))
    newer = {**tree[0]["db"][0], "id": 2, "system-id": 7}
    tree[0]["db"].append(newer)
    report = _changed(Tool.PGBACKREST, tree, json.loads(recorded(WAL)), server="7")
    assert "wrong_server" in codes(report)


@pytest.mark.parametrize(
    ("start", "stop", "lsns", "expected"),
    [
        ("02", "02", ("0/2000028", "0/2000100"), 1),
        ("02", "02", ("0/2000028", "0/3000000"), 1),
        ("FE", "00", ("0/FE000028", "1/50"), 3),
    ],
)
def test_segments_of_a_backup(start: str, stop: str, lsns: tuple[str, str], expected: int) -> None:
    high = lsns[1].partition("/")[0].zfill(8)
    wal = WalRange(f"0000000100000000000000{start}", f"00000001{high}000000{stop}", *lsns)
    found = wal.segments()
    assert (len(found), found[0], found[-1]) == (expected, wal.start_segment, wal.stop_segment)
    with pytest.raises(ValueError, match="fit"):
        WalRange(wal.start_segment, wal.stop_segment, "0/9000028", lsns[1]).segments()


def test_newest_backup_counts() -> None:
    report = ask(Tool.PGBACKREST, INFO, WAL)
    assert report.name.endswith("I")
    report = ask(Tool.WAL_G, "wal_g_backup_list.json")
    assert report.snapshot_at == datetime(2024, 11, 2, 2, 0, 1, 500_000, UTC)


def test_pgbackrest_verify_is_believed_by_its_words() -> None:
    good = ask(Tool.PGBACKREST, INFO, WAL, "pgbackrest_verify_good.txt", level=Level.L1)
    labels = [item["label"] for item in json.loads(recorded(INFO))[0]["backup"]]
    assert all(label in recorded("pgbackrest_verify_good.txt") for label in labels)
    assert (good.level, good.statuses[Level.L1]) == (Level.L1, Status.OK)
    bad = ask(Tool.PGBACKREST, INFO, WAL, "pgbackrest_verify_damaged.txt", level=Level.L1)
    assert bad.statuses[Level.L1] is Status.FAILED
    silent = Question(
        Tool.PGBACKREST, "main", Level.L1, answers=(recorded(INFO), recorded(WAL), "\n")
    )
    report = check_foreign(silent, surroundings(datetime.now(UTC)))
    assert "not_verified" in codes(report)


def test_pgbackrest_unknown_stanza_and_checksum_errors() -> None:
    question = Question(
        Tool.PGBACKREST, "other", Level.L0, answers=(recorded("pgbackrest_info_missing.json"),)
    )
    report = check_foreign(question, surroundings(datetime.now(UTC)))
    assert codes(report) >= {"tool_says", "no_backup"}
    tree = json.loads(recorded(INFO))
    tree[0]["backup"][-1]["error"] = True
    assert "dumper_failed" in codes(_changed(Tool.PGBACKREST, tree))
    tree[0]["backup"] = []
    assert "no_backup" in codes(_changed(Tool.PGBACKREST, tree))


def _changed(tool: Tool, *trees: Any, server: str | None = None) -> CheckReport:
    answers = tuple(tree if isinstance(tree, str) else json.dumps(tree) for tree in trees)
    question = Question(tool, "main", Level.L0, answers=answers)
    return check_foreign(question, surroundings(datetime.now(UTC), server))


def test_barman_failures() -> None:
    damaged = ask(
        Tool.BARMAN,
        *(*BARMAN, "barman_verify_backup_damaged.json"),
        level=Level.L2,
    )
    assert damaged.statuses[Level.L1] is Status.FAILED
    assert any("checksum mismatch" in finding.message for finding in damaged.errors)
    verified = ask(Tool.BARMAN, *BARMAN, "barman_verify_backup.json", level=Level.L2)
    assert (verified.level, "wal_not_read" in codes(verified)) == (Level.L0, True)
    down = ask(Tool.BARMAN, *BARMAN, "barman_check_down.json")
    assert any("postgresql FAILED" in finding.message for finding in down.errors)
    unknown = ask(Tool.BARMAN, *BARMAN, "barman_check_unknown.json")
    assert any("Unknown server" in finding.message for finding in unknown.errors)
    tree = json.loads(recorded("barman_show_backup.json"))
    tree["main"]["status"] = "FAILED"
    assert "dumper_failed" in codes(_changed(Tool.BARMAN, tree))


def test_wal_g_without_backups() -> None:
    assert "no_backup" in codes(_changed(Tool.WAL_G, None))
    assert "no_backup" in codes(_changed(Tool.WAL_G, []))


@pytest.mark.parametrize("tool", [Tool.PGBACKREST, Tool.BARMAN, Tool.WAL_G])
@pytest.mark.parametrize("text", ["", "ERROR: [055]", "{", '{"a": 1}', "3", '[{"name": "main"}]'])
def test_strange_answers_are_errors_never_good(tool: Tool, text: str) -> None:
    question = Question(tool, "main", Level.L2, answers=(text,))
    try:
        report = check_foreign(question, surroundings(datetime.now(UTC)))
    except UsageError:
        return
    assert not report.is_good


def test_missing_tool_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="wal-g is not installed") as caught:
        check_foreign(Question(Tool.WAL_G, "x", Level.L0), surroundings(datetime.now(UTC)))
    assert "--answer" in str(caught.value.hint)
    silent = tmp_path / "wal-g"
    silent.write_text("#!/bin/sh\necho no storage configured >&2\nexit 1\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Refused, match="gave no answer"):
        check_foreign(Question(Tool.WAL_G, "x", Level.L0), surroundings(datetime.now(UTC)))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A copy of the recorded dump of mydumper, with the times of that one."""
    copy = shutil.copytree(RECORDED / "mydumper", tmp_path / "dump")
    began = check_foreign(_about(copy, Level.L0), surroundings(datetime(2030, 1, 1, tzinfo=UTC)))
    assert began.snapshot_at is not None
    for path in copy.iterdir():
        os.utime(path, (began.snapshot_at.timestamp(),) * 2)
    return copy


def _about(dump: Path, level: Level, *tables: str, rows: tuple[int, int] = (20, 20)) -> Question:
    """`rows` are those of the live table before the dump began, and after it ended."""
    least, most = rows
    counts = iter((least, most))
    return Question(
        *(Tool.MYDUMPER, str(dump), level),
        database="archive_db",
        tables=tables or ("files",),
        count_until=lambda _moment: next(counts),
    )


def mydumper(
    dump: Path, level: Level = Level.L2, *tables: str, rows: tuple[int, int] = (20, 20)
) -> CheckReport:
    began = check_foreign(
        _about(dump, Level.L0), surroundings(datetime(2030, 1, 1, tzinfo=UTC))
    ).snapshot_at
    assert began is not None
    question = _about(dump, level, *tables, rows=rows)
    return check_foreign(question, surroundings(began + timedelta(hours=1)))


def test_mydumper_whole(dump: Path) -> None:
    report = mydumper(dump)
    assert (codes(report), report.level) == ({"not_compared"}, Level.L2)
    assert report.statuses[Level.L3] is Status.SKIPPED


def test_mydumper_faults(dump: Path) -> None:
    assert "missing_table" in codes(mydumper(dump, Level.L2, "files", "other"))
    [data] = dump.glob("*.files.sql.gz")
    whole = data.read_bytes()
    for share in (0.999, 0.5, 0.05):
        data.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
        assert mydumper(dump).statuses[Level.L1] is Status.FAILED
    data.write_bytes(whole)
    (dump / "archive_db.files-schema.sql.gz").unlink()
    assert mydumper(dump).statuses[Level.L2] is Status.FAILED
    (dump / "metadata").rename(dump / "metadata.partial")
    assert "unfinished" in codes(mydumper(dump))
    (dump / "metadata.partial").unlink()
    with pytest.raises(UsageError, match="no metadata"):
        mydumper(dump)


def test_mydumper_rows_are_counted(dump: Path) -> None:
    """A data file that is gone leaves no hole in the directory: only the numbers tell."""
    assert "missing_rows" in codes(mydumper(dump, rows=(21, 25)))
    for least, most in ((19, 20), (20, 21), (10, 10)):
        report = mydumper(dump, rows=(least, most))
        assert ("rows_unknown" in codes(report), report.level) == (True, Level.L1)
    metadata = dump / "metadata"
    text, times = metadata.read_text(), (metadata.stat().st_mtime,) * 2
    for rows, expected in ((20, Status.OK), (19, Status.FAILED)):
        metadata.write_text(f"{text}[`archive_db`.`files`]\nrows = {rows}\n")
        os.utime(metadata, times)
        assert mydumper(dump, rows=(0, 99)).statuses[Level.L2] is expected
    metadata.write_text(f"{text}[`archive_db`.`files`]\nrows = 20\n")
    os.utime(metadata, times)
    report = mydumper(dump, rows=(21, 25))  # with --where
    assert ("rows_unknown" in codes(report), report.level) == (True, Level.L1)
    metadata.write_text(text)
    os.utime(metadata, times)
    for data in dump.glob("*.files.sql.gz"):
        data.unlink()
    assert mydumper(dump).statuses[Level.L2] is Status.FAILED
    question = Question(
        Tool.MYDUMPER, str(dump), Level.L2, database="archive_db", tables=("files",)
    )
    silent = check_foreign(question, surroundings(datetime.now(UTC)))
    assert silent.statuses[Level.L2] is Status.UNKNOWN


def test_mydumper_file_of_another_dump(dump: Path) -> None:
    """The same name, the same number of rows, but written a day before."""
    [data] = dump.glob("*.files.sql.gz")
    earlier = data.stat().st_mtime - 86_400
    os.utime(data, (earlier, earlier))
    report = mydumper(dump)
    assert (codes(report) & {"other_time"}, report.level) == ({"other_time"}, Level.L1)


def test_mydumper_without_compression_has_no_checksums(dump: Path) -> None:
    for path in list(dump.glob("*.gz")):
        plain = path.with_suffix("")
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        os.utime(plain, (path.stat().st_mtime,) * 2)
        path.unlink()
    report = mydumper(dump)
    assert "no_checksums" in codes(report)
    assert report.statuses[Level.L1] is Status.SKIPPED
    data = dump / "archive_db.files.sql"
    data.write_bytes(data.read_bytes()[:-20])
    assert mydumper(dump).statuses[Level.L2] is Status.FAILED
