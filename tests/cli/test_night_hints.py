"""The command that a finding or an error names is taken, in the very state that names it.

In each state every ordinary command is typed; what it says on stderr is followed as what `doctor`
and `progress` say. `tests/docs/test_hints.py` walks all texts of the code, said in a state or not.
"""

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.test_night_memory import damaged_shard
from cli.test_night_rows import delete_day
from cli.test_night_watermark import move_by_sql
from des_core.ledger.archive_identity import MARK
from des_core.migration.flags.chunks import ChunkWriter
from support.pages.hints import commands_in

ANSWER = re.compile(r"hint: add (--yes|--confirm \d+) to confirm")
# What a person fills in, and what answers the questions of a command.
FILLED = {"TEXT": "because", "TIME": "2024-01-03", "USER": "somebody", "NAME": "x", "UID": "x"}
FILLED |= {"DIRECTORY": "backups", "FILE": "des-admin.yaml"}
ANSWERS = {
    "run": [],
    "watermark set": ["--yes"],
    "watermark lag": ["--yes"],
    "watermark adopt": ["--dry-run"],
    "verify": ["--yes"],
    "reconcile": ["--yes"],
    "exceptions retry": ["--yes"],
    "backup create": ["--dir", "backups"],
    "init": ["--url", "sqlite:///archive.db", "--output-dir", "output", "--no-check"],
}
# A check that finds what it is asked about has not been refused.
FINDS = {"doctor", "verify", "reconcile", "ledger output", "backup check"}


def moved_forward(archive: Archive, _: Program) -> None:
    move_by_sql(archive, 2)


def moved_back(archive: Archive, _: Program) -> None:
    move_by_sql(archive, -2)


def in_the_future(archive: Archive, _: Program) -> None:
    move_by_sql(archive, 3650)


def beyond_the_target(archive: Archive, program: Program) -> None:
    program("run")
    program("watermark", "lag", "30", "--yes")


def a_damaged_shard(archive: Archive, program: Program) -> None:
    program("run")
    damaged_shard(archive)
    program("verify", expect=20)


def an_output_elsewhere(archive: Archive, program: Program) -> None:
    program("run")
    (archive.project / "output").rename(archive.project / "away")
    (archive.project / "output").mkdir()
    program("run", expect=4)


def rows_that_are_gone(archive: Archive, program: Program) -> None:
    program("run")
    last = max(row.created_at for row in archive.table.rows.values()).date()
    for back in range(2):
        delete_day(archive, last - timedelta(days=back))
    program("reconcile", expect=4)


def sources_that_are_gone(archive: Archive, program: Program) -> None:
    shutil.rmtree(archive.table.root)
    program("run", expect=None)


def nothing_done_yet(archive: Archive, _: Program) -> None:
    """After the cutover: no cycle, no backup, exceptions of the seed."""


def before_the_cutover(archive: Archive, program: Program) -> None:
    program("migrate", "down", "--yes")
    for name in ("des_archive_event", "des_archive_outcome"):
        archive.config.execute(f"DELETE FROM {name}")


def after_a_rollback(_: Archive, program: Program) -> None:
    program("run")
    program("migrate", "down", "--yes")


def a_lock_of_another_machine(archive: Archive, program: Program) -> None:
    program("run")
    archive.config.execute(
        "UPDATE des_archive_lease SET purpose = 'run', token = 'another', host = 'node2',"
        " pid = 4711, process = 'elsewhere', acquired_at = datetime('now', '-3 minutes'),"
        " heartbeat_at = datetime('now'), expires_at = datetime('now', '+10 minutes')"
        " WHERE name = 'writer'"
    )


def no_configuration(archive: Archive, _: Program) -> None:
    (archive.project / "des-admin.yaml").rename(archive.project / "another.yaml")


def an_unknown_key(archive: Archive, _: Program) -> None:
    path = archive.project / "des-admin.yaml"
    path.write_text(path.read_text() + "loging:\n  format: json\n")


def an_output_that_is_not_there(archive: Archive, program: Program) -> None:
    program("run")
    (archive.project / "output").rename(archive.project / "away")


def late_rows(archive: Archive, program: Program) -> None:
    program("run")
    archive.table.add("late", datetime(2024, 1, 9, 3, tzinfo=UTC))
    program("reconcile", expect=4)


def a_run_that_was_killed(archive: Archive, program: Program) -> None:
    program("run")
    leave_lease(archive, "run", "writer")


def a_rollback_that_was_killed(archive: Archive, program: Program) -> None:
    """In the middle of the flags; its lease is left behind, too."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChunkWriter, "commit", die)
        program("migrate", "down", "--yes", expect=130)
    leave_lease(archive, "migrate down", "writer")


def leave_lease(archive: Archive, purpose: str, name: str) -> None:
    archive.config.execute(
        f"UPDATE des_archive_lease SET purpose = '{purpose}', token = 'another', host = 'node2',"
        " pid = 4711, process = 'elsewhere', acquired_at = datetime('now', '-9 minutes'),"
        " heartbeat_at = datetime('now', '-5 minutes'), expires_at = datetime('now', '-4 minutes')"
        f" WHERE name = '{name}'"
    )


def after_the_drop(_: Archive, program: Program) -> None:
    program("run")
    program("migrate", "up", "--drop-archived", "--backup", "tape 17", "--yes")


def after_drop_and_rollback(archive: Archive, program: Program) -> None:
    after_the_drop(archive, program)
    program("migrate", "down", "--yes")


def another_archives_output(archive: Archive, program: Program) -> None:
    program("run")
    mark = archive.project / "output" / MARK
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"id": "0" * 32}))


def an_older_copy_of_the_output(archive: Archive, program: Program) -> None:
    program("run")
    for shard in sorted((archive.project / "output").glob("*.des"))[2:]:
        shard.unlink()


def rows_that_were_accepted_as_gone(archive: Archive, program: Program) -> None:
    rows_that_are_gone(archive, program)
    program("reconcile", "--accept-gone", "--reason", "a tenant left", "--yes")
    delete_day(archive, datetime(2024, 1, 8, tzinfo=UTC).date())


def a_bad_backup(archive: Archive, program: Program) -> None:
    path = archive.project / "des-admin.yaml"
    path.write_text(path.read_text() + "backup:\n  dir: backups\n")
    program("backup", "create")
    largest = max((archive.project / "backups").rglob("*"), key=lambda found: found.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])
    program("backup", "check", expect=None)


def other_routing(archive: Archive, program: Program) -> None:
    program("run")
    change_config(archive, "n_bits: 4", "n_bits: 5")


def a_database_that_is_away(archive: Archive, program: Program) -> None:
    program("run")
    change_config(archive, archive.source.url, "postgresql+psycopg://a:b@127.0.0.1:1/x")


def a_wrong_value(archive: Archive, _: Program) -> None:
    change_config(archive, "n_bits: 4", "n_bits: 40")


def a_configuration_that_is_no_yaml(archive: Archive, _: Program) -> None:
    change_config(archive, "packer:", "packer: [")


def change_config(archive: Archive, old: str, new: str) -> None:
    path = archive.project / "des-admin.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


STATES: list[Callable[[Archive, Program], None]] = [
    *(moved_forward, moved_back, in_the_future, beyond_the_target, a_damaged_shard),
    *(an_output_elsewhere, rows_that_are_gone, sources_that_are_gone, nothing_done_yet),
    *(before_the_cutover, after_a_rollback, a_lock_of_another_machine, no_configuration),
    *(an_unknown_key, an_output_that_is_not_there, late_rows, a_run_that_was_killed),
    *(a_rollback_that_was_killed, after_the_drop, after_drop_and_rollback),
    *(another_archives_output, an_older_copy_of_the_output, rows_that_were_accepted_as_gone),
    *(a_bad_backup, other_routing, a_database_that_is_away, a_wrong_value),
    a_configuration_that_is_no_yaml,
]
# What is typed at night. None of them is meant to fail; where one does, it says what to do.
TYPED = (
    *("run", "watermark show", "exceptions retry --yes", "verify", "reconcile", "get nobody"),
    *("migrate up --yes", "migrate up --drop-archived --yes", "backup check", "compliance sync"),
    *("watermark advance 1d --yes", "sources delete --dry-run", "init"),
)
# What changes nothing, so that nothing has to be put back after it.
LOOKED = (
    *("run --dry-run", "exceptions list", "ledger output", "ledger rebuild --dry-run"),
    *("archive has nobody", "migrate status"),
)


def commands_of(hint: str) -> list[list[str]]:
    """Every command of ours in a hint, with its blanks filled in."""
    return [[FILLED.get(word, word) for word in words] for words in commands_in(hint)]


def hints_of(program: Program) -> set[str]:
    """What doctor and progress advise; nothing where they cannot say anything."""
    checks = program("doctor", "--output", "json", expect=None)
    found = checks.json["checks"] if checks.out else []
    bad = {c["hint"] for c in found if c["status"] in {"failed", "warning"} and c["hint"]}
    shown = program("progress", "--output", "json", expect=None)
    health = shown.json["health"] if shown.code == 0 else []
    return bad | {remark["hint"] for remark in health}


class Kept:
    """The archive as it stands: every file of it, to try one command after another on it."""

    def __init__(self, archive: Archive) -> None:
        databases = {archive.config.path, archive.source.path} - {None}
        self._files = [Path(path) for path in databases]
        self._project = archive.project
        self._copy = archive.project.parent / "kept"
        shutil.copytree(self._project, self._copy, symlinks=True)
        for number, path in enumerate(self._files):
            if not path.is_relative_to(self._project):
                shutil.copy(path, f"{self._copy}.{number}")

    def restore(self) -> None:
        for path in self._project.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._copy, self._project, symlinks=True, dirs_exist_ok=True)
        for number, path in enumerate(self._files):
            if not path.is_relative_to(self._project):
                shutil.copy(f"{self._copy}.{number}", path)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_no_hint_is_refused(
    sqlite_archive: Archive, program: Program, state: Callable[[Archive, Program], None]
) -> None:
    state(sqlite_archive, program)
    kept = Kept(sqlite_archive)
    hints = sorted(hints_of(program))
    for line in (*LOOKED, *TYPED):
        if line in TYPED:
            kept.restore()
        done = program(*line.split(), "--output", "json", expect=None)
        if done.code not in (0, 3) and done.err.lstrip().startswith("{"):
            hints.append(done.error["hint"] or "")
    for hint in dict.fromkeys(hints):
        kept.restore()
        by_hand, _, afterwards = hint.replace("once that is fixed: ", "; then: ").partition(
            "; then: "
        )
        for words in commands_of(by_hand):
            _require_taken(program, hint, words)
        for words in commands_of(afterwards):
            _require_taken(program, hint, words, is_mended=by_hand.startswith("des-admin "))


def _require_taken(
    program: Program, hint: str, words: list[str], *, is_mended: bool = True
) -> None:
    """It does what it says, or finds what it looks for; a question is answered as it tells how.

    What comes after something that hands must mend may be refused for that reason, and no other.
    """
    name = next((n for n in ANSWERS if words[: len(n.split())] == n.split()), None)
    line = [*words, *(ANSWERS[name] if name else [])]
    done = program(*line, expect=None)
    if done.code == 10 and program("status", expect=None).code == 10:
        return  # the database is away, for each and all
    while (asked := ANSWER.search(done.err)) is not None:
        line += asked[1].split()
        done = program(*line, expect=None)
    if not is_mended and done.code == 4:
        return
    said = f"{hint!r}: {' '.join(line)} ended with {done.code}:\n{done.out}\n{done.err}"
    is_finding = any(words[: len(n.split())] == n.split() for n in FINDS)
    allowed = {0, 3} | ({4, 20} if is_finding else set())
    assert done.code in allowed, said
