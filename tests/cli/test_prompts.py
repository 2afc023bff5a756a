"""Every prompt: yes, no, Ctrl-C, end of input. Nothing changes unless it was confirmed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from cli.conftest import CANARY, Archive, Program, name_roots
from cli.terminal import Terminal
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

CTRL_C, CTRL_D = "\x03", "\x04"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REFUSALS = pytest.mark.parametrize(
    ("typed", "code"),
    [("n\n", 4), ("\n", 4), ("what\n", 4), (CTRL_C, 130), (CTRL_D, 4)],
    ids=["no", "enter", "nonsense", "ctrl-c", "ctrl-d"],
)


def plain(text: str) -> str:
    return ESCAPE.sub("", text)


def state(archive: Archive) -> tuple[object, ...]:
    value = archive.config.value("SELECT archived_until FROM des_archive_config")
    return value, archive.events(), archive.exceptions()


@REFUSALS
@pytest.mark.parametrize(
    ("line", "question"),
    [
        (["watermark", "rewind", "1d"], "Move the watermark back"),
        (["watermark", "lag", "3"], "Change lag_days"),
        (["watermark", "advance", "1d"], "Type the number"),
        (["watermark", "set", "2024-01-05"], "Move the watermark back"),
        (["watermark", "set", "2024-01-08"], "Type the number"),
        (["exceptions", "resolve", "--only", "pending_at_seed"], "Type the number"),
        (["exceptions", "retry"], "again?"),
    ],
    ids=["rewind", "lag", "advance", "set-back", "set-forward", "resolve", "retry"],
)
def test_not_confirmed(
    line: list[str], question: str, typed: str, code: int, sqlite_archive: Archive
) -> None:
    before = state(sqlite_archive)
    with Terminal(sqlite_archive.project, *line) as terminal:
        terminal.expect(question)
        terminal.type(typed)
        assert terminal.end() == code
        assert "nothing" in terminal.text
    assert state(sqlite_archive) == before


QUESTIONS = """
import sys
from des_admin.prompts import Prompts

def show(text):
    sys.stderr.write(text)
    sys.stderr.flush()

for number in range(int(sys.argv[1])):
    try:
        Prompts(sys.stdin, show).ask(f"question {number}")
    except KeyboardInterrupt:
        pass
"""


def test_no_ctrl_c_is_lost_between_a_question_and_the_wait_for_its_answer(tmp_path: Path) -> None:
    """The signal comes as soon as the question is seen: often before the read has begun."""
    (tmp_path / "questions.py").write_text(QUESTIONS)
    rounds = 5_000
    with Terminal(tmp_path, str(rounds), module="questions") as terminal:
        for number in range(rounds):
            terminal.expect(f"question {number}: ")
            terminal.type(CTRL_C)
        assert terminal.end() == 0


def test_rewind_asks_for_a_reason(sqlite_archive: Archive) -> None:
    with Terminal(sqlite_archive.project, "watermark", "rewind", "1d") as terminal:
        terminal.expect("pending again")
        terminal.expect("[y/N]")
        terminal.type("y\n")
        terminal.expect("Why")
        terminal.type("shards of the 6th lost\n")
        assert terminal.end() == 0
    assert sqlite_archive.events()[-1][3] == "shards of the 6th lost"


def test_ctrl_c_at_the_reason_changes_nothing(sqlite_archive: Archive) -> None:
    before = state(sqlite_archive)
    with Terminal(sqlite_archive.project, "watermark", "rewind", "1d") as terminal:
        terminal.expect("[y/N]")
        terminal.type("y\n")
        terminal.expect("Why")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert state(sqlite_archive) == before


def test_advance_wants_the_number(sqlite_archive: Archive) -> None:
    with Terminal(sqlite_archive.project, "watermark", "advance", "2024-01-08") as terminal:
        terminal.expect("skipped")
        terminal.expect("to go on:")
        terminal.type("21\n")
        terminal.expect("Why")
        terminal.type("\n")
        assert terminal.end() == 0
    reasons = [reason for reason, _ in sqlite_archive.exceptions().values()]
    assert reasons.count("skipped") == 21


def test_init_asks_tries_and_writes(
    project: Path, database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, rows=3)
    (project / "out").mkdir()
    with Terminal(project, "init", env={"DB_PASSWORD": password_of(database)}) as terminal:
        answers = [
            *connection_answers(database),
            "",
            str(project / "out"),
            "",
            "/mnt/a, /b",
            "x",
            "9",
        ]
        for answer in answers:
            terminal.expect(": ")
            terminal.type(answer + "\n")
        code = terminal.end()
    assert code == 0, terminal.text
    written = yaml.safe_load((project / "des-admin.yaml").read_text())
    assert written["database"]["lag_days"] == 9
    assert written["database"]["table_name"] == "files"
    assert written["packer"]["source_roots"] == ["/mnt/a", "/b"]
    if database.kind != "sqlite":
        assert "${DB_PASSWORD}" in written["database"]["url"]
        assert password_of(database) not in (project / "des-admin.yaml").read_text()


def connection_answers(database: TestDatabase) -> list[str]:
    if database.path is not None:
        return ["sqlite", str(database.path)]
    match = re.match(r"(\w+)(?:\+\w+)?://([^:]+):[^@]*@([^:/]+):(\d+)/(.*)", database.url)
    assert match is not None
    scheme, user, host, port, name = match.groups()
    return [scheme, host, port, name, user, "DB_PASSWORD"]


def password_of(database: TestDatabase) -> str:
    match = re.match(r"\w+(?:\+\w+)?://[^:]+:([^@]*)@", database.url)
    return match[1] if match else "unused"


NOWHERE = ["postgres", "127.0.0.1", "1", "db", "me", "", "", "out", "/mnt/a", "7"]


def answer(terminal: Terminal, *answers: str) -> None:
    for text in answers:
        terminal.expect(": ")
        terminal.type(text + "\n")


def test_init_leaves_nothing_where_nobody_answers_again(project: Path) -> None:
    with Terminal(project, "init", env={"DB_PASSWORD": CANARY}) as terminal:
        answer(terminal, *NOWHERE)
        terminal.expect("Answer again, or w")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert CANARY not in terminal.text
    assert not any(project.iterdir())


def test_init_writes_what_it_has_where_it_is_told_to(project: Path) -> None:
    with Terminal(project, "init", env={"DB_PASSWORD": CANARY}) as terminal:
        answer(terminal, *NOWHERE)
        terminal.expect("Answer again, or w")
        terminal.type("w\n")
        assert terminal.end() == 0, terminal.text
    assert "untried" in terminal.text
    assert CANARY not in terminal.text
    written = yaml.safe_load((project / "des-admin.yaml").read_text())
    assert written["database"]["url"] == "postgresql://me:${DB_PASSWORD}@127.0.0.1:1/db"


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_init_keeps_answers_after_a_mistake(
    project: Path, database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """Only the port was wrong: nothing else is typed again, also not the number of days."""
    files_table(database, rows=3)
    _, host, port, name, user, variable = connection_answers(database)
    with Terminal(project, "init", env={"DB_PASSWORD": password_of(database)}) as terminal:
        answer(terminal, "mongodb", "pg", host, "five", "1", name, user, variable)
        answer(terminal, "", str(project / "out"), "/mnt/a", "9")
        terminal.expect("Answer again, or w")
        answer(terminal, "", "", "", port, *[""] * 7)
        assert terminal.end() == 0, terminal.text
    written = yaml.safe_load((project / "des-admin.yaml").read_text())
    assert f"@{host}:{port}/" in written["database"]["url"]
    assert written["database"]["lag_days"] == 9
    assert written["packer"]["output_dir"] == str(project / "out")


def test_run_shows_a_bar_and_cleans_it_up(sqlite_archive: Archive) -> None:
    with Terminal(sqlite_archive.project, "run", columns=120) as terminal:
        terminal.expect("packing")
        assert terminal.end() == 0
    assert "packed" in plain(terminal.text)


def test_watch_ends_with_ctrl_c(sqlite_archive: Archive) -> None:
    with Terminal(sqlite_archive.project, "progress", "--watch", "--interval", "0.5") as terminal:
        terminal.expect("archived until")
        terminal.expect("archived until")
        terminal.type(CTRL_C)
        assert terminal.end() == 0


def test_watch_is_a_screen_of_its_own_with_keys(sqlite_archive: Archive) -> None:
    with Terminal(sqlite_archive.project, "progress", "--watch", "--interval", "60") as terminal:
        terminal.expect("\x1b[?1049h")
        terminal.expect("progress: overview")
        terminal.expect("pending")
        terminal.expect("q quits")
        terminal.type("2")
        terminal.expect("progress: exceptions")
        terminal.expect("pending_at_seed")
        terminal.type("3")
        terminal.expect("progress: cycles")
        terminal.type("q")
        assert terminal.end() == 0
    assert "\x1b[?1049l" in terminal.text, "the screen of before is back"


def make_late_row(archive: Archive) -> None:
    archive.table.add("late-one", datetime(2024, 1, 8, 3, tzinfo=UTC))


def forget_shards(archive: Archive) -> None:
    archive.config.execute("DELETE FROM des_archive_shard")
    archive.config.execute("DELETE FROM des_archive_slice")


def damage_a_shard(archive: Archive) -> None:
    shard = min(Path(archive.settings.packer.output_dir).glob("*.des"))
    shard.chmod(0o600)
    shard.write_bytes(shard.read_bytes()[:-5])


def let_sources_be_deleted(archive: Archive) -> None:
    config = archive.project / "des-admin.yaml"
    text = name_roots(config, archive.table.root)
    config.write_text(f"{text}migration:\n  grace_days: 0\n")


def make_two_backups(archive: Archive) -> None:
    """Of the config database: one more than the line keeps."""
    with (archive.project / "des-admin.yaml").open("a") as config:
        config.write(f"backup:\n  dir: {archive.project / 'backups'}\n")
    for _ in range(2):
        with Terminal(archive.project, "backup", "create", "--database", "config") as terminal:
            assert terminal.end() == 0, terminal.text


def whole_state(archive: Archive) -> tuple[object, ...]:
    counts = [
        archive.config.value(f"SELECT COUNT(*) FROM des_archive_{table}")
        for table in ("slice", "shard", "exception")
    ]
    output = Path(archive.settings.packer.output_dir)
    shards = sorted((path.name, path.stat().st_size) for path in output.glob("*.des"))
    sources = sorted(path.name for path in archive.table.root.rglob("*"))
    backups = sorted(path.name for path in (archive.project / "backups").glob("2*"))
    return (*state(archive), counts, shards, sources, backups)


@pytest.mark.parametrize(
    ("line", "question", "prepare"),
    [
        (["migrate", "down"], "[y/N]", None),
        (["migrate", "down", "--purge"], "Type the number of files in the ledger", None),
        (["migrate", "up", "--drop-archived"], "[y/N]", None),
        (["backup", "prune", "--keep-last", "1"], "Type the number to go on", make_two_backups),
        (["reconcile", "--record"], "late row as exceptions?", make_late_row),
        (["ledger", "rebuild"], "to the ledger?", forget_shards),
        (["verify", "--repair"], "pack their files again?", damage_a_shard),
        (["sources", "delete"], "Type the number of files to go on", let_sources_be_deleted),
    ],
    ids=["down", "purge", "drop", "prune", "reconcile", "rebuild", "repair", "sources"],
)
def test_work_that_is_not_confirmed(
    line: list[str],
    question: str,
    prepare: Callable[[Archive], None] | None,
    sqlite_archive: Archive,
    program: Program,
) -> None:
    """No, Ctrl-C, the end of input, and nobody there; then yes, and it is done and recorded."""
    program("run")
    if "--drop-archived" in line:
        program("backup", "create", "--dir", str(sqlite_archive.project / "backups"))
    if prepare is not None:
        prepare(sqlite_archive)
    before = whole_state(sqlite_archive)
    for typed, code in (("n\n", 4), (CTRL_C, 130), (CTRL_D, 4)):
        with Terminal(sqlite_archive.project, *line) as terminal:
            terminal.expect(question)
            terminal.type(typed)
            assert terminal.end() == code, terminal.text
        assert whole_state(sqlite_archive) == before, f"{typed!r} changed something"
    refusal = program(*line, expect=4).err
    wanted = re.search(r"--confirm (\d+)", refusal)
    assert wanted or "--yes" in refusal
    assert whole_state(sqlite_archive) == before
    with Terminal(sqlite_archive.project, *line) as terminal:
        terminal.expect(question)
        terminal.type(f"{wanted[1]}\n" if wanted else "y\n")
        assert terminal.end() in {0, 3}, terminal.text
    if "--purge" in line:
        assert sqlite_archive.config.table_names() <= {"des_archive_lease", "des_admin_version"}
        return
    if "migrate" not in line:
        assert whole_state(sqlite_archive) != before
    assert len(sqlite_archive.events()) > len(before[1])


def test_a_cutover_that_is_not_confirmed(sqlite_archive: Archive, program: Program) -> None:
    program("migrate", "down", "--yes")

    def has_watermark() -> bool:
        tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'des_archive_config'"
        return bool(sqlite_archive.config.value(tables))

    for typed, code in (("n\n", 4), (CTRL_C, 130), (CTRL_D, 4)):
        with Terminal(sqlite_archive.project, "migrate", "up") as terminal:
            terminal.expect("[y/N]")
            terminal.type(typed)
            assert terminal.end() == code, terminal.text
        assert not has_watermark()
    assert "--yes" in program("migrate", "up", expect=4).err
    assert not has_watermark()
    with Terminal(sqlite_archive.project, "migrate", "up") as terminal:
        terminal.expect("[y/N]")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.text
    assert has_watermark()
    assert sqlite_archive.events()[-1][0] == "migrate.seed"
