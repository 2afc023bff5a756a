"""The runbook's entry page, and how the outputs that pages show are compared."""

import re
from pathlib import Path

import pytest

from cli.test_flags import COMMANDS, READERS, names
from des_core.basics.errors import ExitCode
from des_core.records import Reason
from support.pages.documents import COMMENT, OUTPUT, read_sections
from support.pages.outputs import TODAY_ON_PAGES, Dress, fits, shortened

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "RUNBOOK.md"
CARD = ROOT / "docs" / "operator-card.md"
PAGES = sorted((ROOT / "docs" / "runbook").glob("*.md"))
FIRST_ALERT_BY = 12


def exit_codes(path: Path) -> list[int]:
    cells = re.findall(r"^\| ([\d, ]+) \| .+ \| .*\|$", path.read_text(encoding="utf-8"), re.M)
    return [int(code) for cell in cells for code in cell.split(",")]


@pytest.mark.parametrize("path", [RUNBOOK, CARD], ids=lambda path: path.name)
def test_every_exit_code_has_its_first_step(path: Path) -> None:
    assert exit_codes(path) == [code.value for code in ExitCode]


def test_every_reason_has_a_row_that_says_what_to_do() -> None:
    """A row may name several reasons; docs/metrics.md has the cause of each."""
    page = (ROOT / "docs" / "runbook" / "alerts.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| ([^|]+) \|", page, re.M)
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert set(Reason) <= named
    causes = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"`{reason}`" not in causes] == []


def test_every_reason_is_given_by_somebody() -> None:
    """A reason that nobody raises would have an operator look for what never happens."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "runner").rglob("*.py")
        if path.name not in ("records.py", "definitions.py")
    )
    assert [reason for reason in Reason if not re.search(rf"Reason\.{reason.name}\b", code)] == []


def test_every_page_is_linked_from_the_first_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + RUNBOOK.read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")]
    assert [page for page in pages if f"]({page}" not in text] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_every_day_of_an_output_lies_near_the_today_of_the_pages(page: Path) -> None:
    """Outputs are compared without their times, so nobody else sees a wrong one."""
    shown = [b.text for each in read_sections(page) for b in each.blocks if b.language == OUTPUT]
    years = set(re.findall(r"\b(20\d\d)-\d\d-\d\d", " ".join(shown)))
    assert years <= {str(TODAY_ON_PAGES.year)}


def test_what_does_not_ask_is_named() -> None:
    """Whoever reads that commands ask must also read which do not."""
    text = " ".join(RUNBOOK.read_text(encoding="utf-8").split())
    [named] = re.findall(r"N`\. Without a terminal.*?(`run`.*?) do not ask", text)
    changing = {
        name
        for (program, name), command in COMMANDS.items()
        if program == "des-admin"
        and name not in READERS | {"demo", "init", "deploy render", "migrate alembic"}
        and not names(command) & {"--yes", "--confirm"}
    }
    assert changing | {"run"} == set(re.findall(r"`([\w -]+)`", named))


def test_no_page_chooses_a_backup_by_its_place_in_a_list() -> None:
    """With two databases the newest directory may hold the other one."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?m)^ *(ls|rm|find) [^\n]*backup", text), page.name
    backup = (ROOT / "docs" / "runbook" / "backup.md").read_text(encoding="utf-8")
    assert "des-admin backup restore-plan" in backup
    assert "des-admin backup prune" in backup


def test_the_first_alert_is_on_the_first_screen() -> None:
    lines = RUNBOOK.read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines, 1) if line.startswith('| <a id="'))
    assert first <= FIRST_ALERT_BY


def test_every_page_of_the_runbook_is_linked_from_its_entry() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    for page in PAGES:
        assert f"](docs/runbook/{page.name})" in text
        assert "](../../RUNBOOK.md)" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [RUNBOOK, ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_no_command_is_there_for_the_test_alone(page: Path) -> None:
    """Comments may hold them; a block may not."""
    shown = [
        line
        for line in page.read_text(encoding="utf-8").splitlines()
        if not COMMENT.match(line) and re.search(r"\|\| test |psql -At|python3 -c|\$PWD", line)
    ]
    assert shown == []


def test_numbers_and_times_of_an_output_may_differ_and_words_may_not() -> None:
    real = ["packed     651 files in 14 slices", "took       1.7 s, 394 files/s"]
    assert fits(["packed 7 files in 1 slices", "took  12 ms, 1,000 files/s"], real)
    assert fits(["packed 7 files…", "…"], real)
    assert fits(["…", "took 1 s, 2 files/s"], real)
    assert not fits(["packed 7 files in 1 slices"], real)
    assert not fits(["packed 7 rows in 1 slices", "…"], real)
    assert not fits([], real)
    assert not fits(["packed 7 files in 1 slices", "took 1 s, 2 files/s", "exit 3"], real)


def test_a_page_has_its_own_today_and_its_own_directories() -> None:
    dress = Dress((("/mnt/des/output", "/scratch/shards"),), (("db1", "host"),), days=31)
    assert dress.undressed("ls /mnt/des/output/20241101_0") == "ls /scratch/shards/20241202_0"
    assert dress.dressed("2024-12-02 on host: /scratch/shards, ghost") == [
        "2024-11-01 on db1: /mnt/des/output, ghost"
    ]


def test_long_outputs_are_cut() -> None:
    lines = shortened([f"line {number}" for number in range(20)])
    assert lines[-1] == "…"
    assert len(lines) == 9
    assert shortened(["word " * 60])[0].endswith("word…")


def test_each_decision_has_a_number_of_its_own_and_its_line_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    pages = sorted(path.name for path in folder.glob("0*.md"))
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert len({name[:4] for name in pages}) == len(pages), pages
    assert re.findall(r"^\| \[\d+\]\((\S+)\)", index, re.M) == pages
    missing = {f"{number:04}" for number in range(1, int(pages[-1][:4]))} - {n[:4] for n in pages}
    for number in missing:
        assert number in index, f"the index explains why there is no {number}"


def test_what_make_soak_is_told_to_run_is_among_its_tests() -> None:
    """`-k` chooses by names of files and functions; if it chooses none, nothing is proved."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    recipe = makefile.partition("\nsoak:")[2].partition("\n\n")[0]
    places = [ROOT / word for word in recipe.split() if word.startswith("tests/")]
    files = [
        file for place in places for file in (place.rglob("test_*.py"), [place])[place.is_file()]
    ]
    names = [name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())]
    chosen = {*names, *(file.name for file in files)}
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.py")]
    told = re.compile(r"make soak PYTEST_ARGS='-k (\w+)'")
    words = {word for page in pages for word in told.findall(page.read_text(encoding="utf-8"))}
    assert len(words) > 10
    assert [word for word in sorted(words) if not any(word in name for name in chosen)] == []
