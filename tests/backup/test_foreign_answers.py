"""What other tools answer, as recorded, comes down to the right verdict."""

import gzip
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from des_core.backup.findings import CheckReport, Level, Status
from des_core.backup.foreign.answer import Tool
from des_core.backup.foreign.ask import Question, check_foreign
from des_core.backup.identity import LiveServer, Target
from des_core.backup.live import Live
from des_core.backup.manifest import ServerIdentity
from des_core.backup.presence import Surroundings
from des_core.basics.errors import Refused, UsageError

RECORDED = Path(__file__).parent / "recorded"
INFO = "pgbackrest_info.json"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


def system_id_of(name: str) -> str:
    if name.startswith("pgbackrest"):
        return str(json.loads(recorded(name))[0]["db"][0]["system-id"])
    return str(json.loads(recorded("barman_show_server.json"))["main"]["postgres_systemid"])


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
        (Tool.PGBACKREST, (INFO,)),
        (
            Tool.BARMAN,
            ("barman_check.json", "barman_show_server.json", "barman_show_backup.json"),
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


@pytest.mark.parametrize("tool", [Tool.PGBACKREST, Tool.BARMAN])
def test_server_is_compared(tool: Tool) -> None:
    names = {
        Tool.PGBACKREST: (INFO,),
        Tool.BARMAN: ("barman_show_backup.json", "barman_show_server.json"),
    }[tool]
    assert codes(ask(tool, *names, server=system_id_of(names[0]))) == set()
    assert codes(ask(tool, *names, server="1")) == {"wrong_server"}


def test_newest_backup_counts() -> None:
    report = ask(Tool.PGBACKREST, INFO)
    assert report.name.endswith("I")
    report = ask(Tool.WAL_G, "wal_g_backup_list.json")
    assert report.snapshot_at == datetime(2024, 11, 2, 2, 0, 1, 500_000, UTC)


def test_pgbackrest_verify_is_believed_by_its_words() -> None:
    good = ask(Tool.PGBACKREST, INFO, "pgbackrest_verify_good.txt", level=Level.L1)
    labels = [item["label"] for item in json.loads(recorded(INFO))[0]["backup"]]
    assert all(label in recorded("pgbackrest_verify_good.txt") for label in labels)
    assert (good.level, good.statuses[Level.L1]) == (Level.L1, Status.OK)
    bad = ask(Tool.PGBACKREST, INFO, "pgbackrest_verify_damaged.txt", level=Level.L1)
    assert bad.statuses[Level.L1] is Status.FAILED
    silent = Question(Tool.PGBACKREST, "main", Level.L1, answers=(recorded(INFO), "\n"))
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


def _changed(tool: Tool, tree: Any) -> CheckReport:
    question = Question(tool, "main", Level.L0, answers=(json.dumps(tree),))
    return check_foreign(question, surroundings(datetime.now(UTC)))


def test_barman_failures() -> None:
    damaged = ask(
        Tool.BARMAN,
        *("barman_show_backup.json", "barman_verify_backup_damaged.json"),
        level=Level.L2,
    )
    assert damaged.statuses[Level.L1] is Status.FAILED
    assert any("checksum mismatch" in finding.message for finding in damaged.errors)
    verified = ask(
        Tool.BARMAN, "barman_show_backup.json", "barman_verify_backup.json", level=Level.L2
    )
    assert verified.level is Level.L2
    down = ask(Tool.BARMAN, "barman_show_backup.json", "barman_check_down.json")
    assert any("postgresql FAILED" in finding.message for finding in down.errors)
    unknown = ask(Tool.BARMAN, "barman_show_backup.json", "barman_check_unknown.json")
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
    """A copy of the recorded dump of mydumper."""
    return shutil.copytree(RECORDED / "mydumper", tmp_path / "dump")


def mydumper(dump: Path, level: Level = Level.L2, *tables: str) -> CheckReport:
    question = Question(
        Tool.MYDUMPER, str(dump), level, database="archive_db", tables=tables or ("files",)
    )
    began = check_foreign(question, surroundings(datetime(2030, 1, 1, tzinfo=UTC))).snapshot_at
    assert began is not None
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


def test_mydumper_without_compression_has_no_checksums(dump: Path) -> None:
    for path in list(dump.glob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    report = mydumper(dump)
    assert "no_checksums" in codes(report)
    assert report.statuses[Level.L1] is Status.SKIPPED
    data = dump / "archive_db.files.sql"
    data.write_bytes(data.read_bytes()[:-20])
    assert mydumper(dump).statuses[Level.L2] is Status.FAILED
