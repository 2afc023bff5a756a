"""Whatever stands in the configuration and on the line: an exit code that means something.

No traceback, no hang, and no secret in anything that is printed or written. `DES_TEST_ROUNDS`
rounds of ten cases; in CI few, the same ones each time.
"""

import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from cli.conftest import Done, program_environment, run_inside
from support.program.archive import make_archive
from support.program.made_up_lines import CANARY_PIECE, Case, Maker
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

CASES_PER_ROUND = 10
ROUNDS_IN_CI = 10
LONGEST_S = 60
MEANINGFUL = {0, 2, 3, 4, 10, 11, 12, 20}


@pytest.fixture
def template(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Path:
    """A directory with a small archive in it; each case works on a copy."""
    place = tmp_path / "template"
    place.mkdir()
    database = make_database("sqlite")
    table = files_table(database, rows=30, days=6, archived_days=2, holes=2, bad={"missing": 1})
    settings = make_archive(database, place / "out")
    with open_archive(settings) as archive:
        run_cycle(archive)
    table.add("late", next(iter(table.rows.values())).created_at)
    assert database.path is not None
    shutil.copy(database.path, place / "files.db")
    return place


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_made_up_lines_end_well(template: Path, tmp_path: Path, rounds: int, is_soak: bool) -> None:
    project = tmp_path / "project"
    maker = Maker(str(project / "files.db"), str(project / "out"), str(tmp_path))
    codes: Counter[int] = Counter()
    for seed in range((rounds if is_soak else ROUNDS_IN_CI) * CASES_PER_ROUND):
        case = maker.case(seed)
        shutil.copytree(template, project)
        (project / "c.yaml").write_bytes(case.config)
        done = run_case(project, case)
        what = f"seed {seed}: {case.module} {case.words}\n{case.config.decode(errors='replace')}"
        assert done.code in MEANINGFUL, f"exit code {done.code}: {what}\n{done.err}"
        assert "Traceback" not in done.out + done.err, f"{what}\n{done.err}"
        assert CANARY_PIECE not in done.out + done.err, f"{what}\n{done.out}{done.err}"
        assert files_with_secret(project, template) == [], what
        codes[done.code] += 1
        shutil.rmtree(project)
    print(f"\n{codes.total()} made-up lines: exit codes {dict(sorted(codes.items()))}")
    assert codes[0] and codes[2], "some are right, and some are wrong"


def run_case(project: Path, case: Case) -> Done:
    env = {**program_environment(project), **case.env}
    with within(LONGEST_S):
        try:
            return run_inside(project, case.module, case.words, env, case.stdin)
        except SystemExit as end:  # argparse's way
            return Done(int(end.code or 0), "", "")


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """TimeoutError where the block takes longer."""

    def on_alarm(*_: object) -> NoReturn:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def files_with_secret(project: Path, template: Path) -> list[str]:
    """Files that the program has written and that hold the canary."""
    known = {path.relative_to(template) for path in template.rglob("*")} | {Path("c.yaml")}
    return [
        str(path)
        for path in project.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.relative_to(project) not in known
        and CANARY_PIECE.encode() in path.read_bytes()
    ]
