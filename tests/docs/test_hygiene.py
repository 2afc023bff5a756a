"""House rules that no linter knows."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import SecretStr

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog
from des_core.settings.config import DatabaseSettings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("runner/des_core", "runner/watermark_orchestrator", "des_admin")
DOMAIN = PACKAGES[:2]
PROCESSES = ("__main__.py", "pack_worker.py")  # processes of their own, which end themselves
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

# Letters in brackets, so that this file does not find itself.
_TRACES = re.compile(
    r"(?<![\w.~-])/wor[k]/|/tm[p]/venv|/op[t]/pypi|[e]xtra-index-url|[p]ypi\.org/simple"
    r"|\bfar[m]-\w+|\bA[I]\b|\bLL[M]s?\b|\bsub-?agen[t]s?\b|\bcod[i]ng agent"
)
_UNFINISHED = re.compile(r"\bTOD[O]\b|\bFIXM[E]\b|\bXX[X]\b|NotImplemente[d]Error|\bfor no[w]\b")
_SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\s|WITH\s+\w+\s+AS\b"
    r"|(ALTER|CREATE|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW|TRIGGER|DATABASE|SCHEMA)\b)"
)


@cache
def project_files() -> list[Path]:
    """What is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def find_lines(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if match := pattern.search(line):
                found.append(f"{relative(path)}:{number}: {match[0]!r}")
    return found


def test_every_room_is_named_in_the_import_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = next(c["layers"] for c in contract["contracts"] if c["type"] == "layers")
    named = {room.strip() for floor in floors for room in floor.split("|")}
    core = ROOT / "runner/des_core"
    there = {path.parent.name for path in core.glob("*/__init__.py")}
    there |= {path.stem for path in core.glob("*.py") if path.stem != "__init__"}
    assert named == {f"des_core.{name}" for name in there} | {"des_admin", "watermark_orchestrator"}


def test_every_room_says_what_lives_there() -> None:
    folders = {path.parent for path in modules(*PACKAGES, "tests/support")}
    silent = [
        relative(folder)
        for folder in folders
        if not (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").strip()
    ]
    assert silent == []


def test_no_traces_of_a_developers_machine() -> None:
    assert find_lines(_TRACES, project_files()) == []


def test_nothing_is_left_unfinished() -> None:
    code = [path for path in project_files() if path.suffix in (".py", ".sql", ".md", "")]
    assert find_lines(_UNFINISHED, code) == []


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=relative)
def test_module_is_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MAX_MODULE_LINES
    too_long = [
        f"{node.name} at line {node.lineno}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert too_long == []


@pytest.mark.parametrize("path", modules(*PACKAGES, "alembic"), ids=relative)
def test_sql_lives_in_sql_files(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [f"line {line}: {text[:60]!r}" for line, text in _strings(tree) if _SQL.match(text)]
    assert found == []


@pytest.mark.parametrize("path", modules(*DOMAIN), ids=relative)
def test_domain_neither_prints_nor_exits_nor_reads_the_environment(path: Path) -> None:
    if path.name in PROCESSES:
        return
    forbidden = {"os.environ", "os.getenv", "sys.exit", "os._exit", "sys.stdout", "sys.argv"}
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in forbidden:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "exit", "quit"):
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
    assert found == []


def test_the_alembic_folder_does_not_shadow_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def _strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of string literals, f-strings with `{}` for their values; no docstrings."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(_text_of(part) for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in documentation:
            yield node.lineno, _text_of(node)


def _text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "{}"


def test_no_document_has_a_section_twice() -> None:
    """The changelog has one "Fixed" for each version."""
    for path in project_files():
        if path.suffix == ".md" and path.name != "CHANGELOG.md":
            titles = re.findall(r"(?m)^## (.+)$", path.read_text())
            assert len(titles) == len(set(titles)), f"{path}: {titles}"


def test_every_statement_that_a_hint_shows_is_there() -> None:
    shown = {
        name
        for path in modules(*PACKAGES)
        for name in re.findall(r"des-admin sql show ([a-z_]+)", path.read_text(encoding="utf-8"))
    }
    assert shown
    settings = DatabaseSettings(url=SecretStr("sqlite:////x"))
    for dialect in Dialect:
        assert shown <= {statement.name for statement in Catalog(dialect, settings).list()}
