"""Pages, help and messages are written in the field's words; CONTRIBUTING.md has the list."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (
        *(ROOT / name for name in ("README.md", "RUNBOOK.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "runbook").glob("*.md"),
        *(ROOT / "docs" / "adr").glob("*.md"),
        ROOT / "CHANGELOG.md",
    )
    if not path.name.endswith(".pl.md")
)
# Decisions and changes are read by developers, and may be told in clauses.
MANUALS = [path for path in PAGES if path.parent.name != "adr" and path.name != "CHANGELOG.md"]
HELP = sorted((ROOT / "tests" / "cli" / "golden").glob("des-*.txt"))
CODE = sorted(path for room in ("des_admin", "runner") for path in (ROOT / room).rglob("*.py"))
# Also in messages: whoever reads them at night may read English as a second language.
JOKES = re.compile(
    r"what lies between|\bsays? so\b|\bmend(s|ed|ing)?\b|in so many (words|letters)"
    r"|\bwhy on earth\b|a day at the office|\bmuch\b (files|rows)|\b(a )?bugs? of ours\b"
    r"|what (came|comes|became) of|\bstatic (workers?|way)\b",
    re.I,
)
TERMS = re.compile(
    r"\bthe gate\b|\bgate (refuses|wants|asks|before)\b|\breplay(s|ed|ing)?\b|\bthe fence\b"
    r"|\bbacklog\b|\byoung(er|est)?\b|\bfelt by\b|\bwhat hangs on\b|\b(old|per-record) way\b",
    re.I,
)
# "where" is for places; a condition is "if".
WHERE = re.compile(
    r"\bwhere (no|any|nothing|somebody|nobody|there (is|are)|it (does|is not|lacks|can)|many)\b"
    r"|\bwhere (two|the (server|kernel|user|frame|plan) \w+s?|[a-z]+ (has|have|had|may|might)) "
    r"|\bwhere (that is|its machine|they are two|it differs|a file \w+s)\b"
    r"|\bwhere the (environment|configuration)\b"
    r"|(?<=[.:] )Where (no|any|the|there|somebody|nobody|it|this|that|a)\b"
)
ALL = (JOKES, TERMS, WHERE)
SEED = re.compile(r"\bthe seed\b")  # a step's name; whoever is told of it reads "initial watermark"
WHAT_PER_1000 = 8
# An event of the trails that exist, and an option's old name.
KEPT = {"watermark replay", "--backlog"}
# What an operator reads beside the programs: plans and `sql list` print headers of statements.
SIDE_TEXTS = {
    "sql": sorted((ROOT / "sql").rglob("*.sql")),
    "deploy": sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
    "contributing": [ROOT / "CONTRIBUTING.md"],
}


def prose(path: Path) -> str:
    """A page without its blocks and comments, and without what stands in backticks."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", path.read_text(encoding="utf-8"))
    return re.sub(r"<!--.*?-->|`[^`\n]*`", "", text)


def hits(pattern: re.Pattern[str], text: str) -> list[str]:
    return [line for line in text.splitlines() if pattern.search(line)]


def beside(path: Path) -> list[str]:
    """Comments of a statement, all of another file; a table of words names those not to use."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = re.sub(r"(?m)^\|.*$", "", prose(path))
    lines = text.splitlines()
    return [line for line in lines if path.suffix != ".sql" or line.lstrip().startswith("--")]


def messages(path: Path) -> Iterator[str]:
    """String literals of a module that are no docstrings and no names, as keys of JSON are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings and not node.value.isidentifier():
            yield node.value


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_are_in_standard_terms(page: Path) -> None:
    text = prose(page)
    assert hits(JOKES, text) + hits(TERMS, text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_condition_is_not_called_where(page: Path) -> None:
    assert hits(WHERE, prose(page)) == []


@pytest.mark.parametrize("page", MANUALS, ids=lambda path: path.name)
def test_clauses_with_what_are_rare(page: Path) -> None:
    text = re.sub(r"(?m)^#.*$", "", prose(page))
    clauses = len(re.findall(r"\bwhat\b", text, re.I))
    assert clauses <= max(3, len(text.split()) * WHAT_PER_1000 // 1000), clauses


@pytest.mark.parametrize("page", HELP, ids=lambda path: path.name)
def test_help_is_in_standard_terms(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").replace("│", " ").split())
    assert [match[0] for pattern in ALL for match in pattern.finditer(text)] == []


def test_messages_are_in_standard_terms() -> None:
    found = [
        f"{path.name}: {text[:70]!r}"
        for path in CODE
        for text in messages(path)
        if text not in KEPT and any(pattern.search(text) for pattern in (*ALL, SEED))
    ]
    assert found == []


@pytest.mark.parametrize("kind", SIDE_TEXTS)
def test_files_beside_the_programs_are_in_standard_terms(kind: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()[:90]}"
        for path in SIDE_TEXTS[kind]
        for line in beside(path)
        if any(pattern.search(line) for pattern in ALL)
    ]
    assert found == []


def test_the_list_names_the_banned_words() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for banned in ("what lies between", "says so", "mend", "bug of ours", "gate", "replay"):
        assert banned in text
