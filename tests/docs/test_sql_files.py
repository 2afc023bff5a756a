"""Each text of sql/ stands once, and the program uses it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog, sql_files
from des_core.database.roles import Place, Role
from des_core.settings.config import DatabaseSettings
from docs.test_hygiene import PACKAGES, ROOT, modules

SQL = ROOT / "sql"
HOMES = ("common", *Dialect)
_HEADER = re.compile(r"-- (purpose|index|touches):")


def texts_by_name() -> dict[str, dict[str, str]]:
    """FOLDER/NAME → home → statement, without its header."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(SQL.rglob("*.sql")):
        home, *name = path.relative_to(SQL).parts
        lines = path.read_text(encoding="utf-8").splitlines()
        body = "\n".join(line for line in lines if not _HEADER.match(line))
        found["/".join(name)][home] = body.strip()
    return found


def test_the_folders_are_common_and_one_for_each_dialect() -> None:
    assert {path.name for path in SQL.iterdir()} == set(HOMES)


def test_no_statement_has_the_same_text_in_two_places() -> None:
    """What two dialects share is the common text; the third overrides it."""
    twice = [
        (name, homes)
        for name, texts in texts_by_name().items()
        for homes in _equal(texts)
        if len(homes) > 1
    ]
    assert twice == []


def test_no_two_statements_are_equal_in_every_dialect() -> None:
    names = texts_by_name()
    read = {
        name: tuple(texts.get(dialect, texts.get("common")) for dialect in Dialect)
        for name, texts in names.items()
        if not name.startswith("migrations/")
    }
    assert [group for group in _equal(read) if len(group) > 1] == []


@pytest.mark.parametrize("folder", sorted({path.name for path in SQL.glob("common/*")}))
def test_a_common_text_is_read_in_two_dialects_at_least(folder: str) -> None:
    read = [path for dialect in Dialect for path in sql_files(dialect, folder).values()]
    seldom = [path for path in (SQL / "common" / folder).iterdir() if read.count(path) < 2]
    assert seldom == []


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_file_is_a_statement_of_the_catalogue(dialect: Dialect) -> None:
    settings = DatabaseSettings(url=SecretStr("sqlite:////x"))
    names = {statement.name for statement in Catalog(dialect, settings).list()}
    assert len(names) > 100
    for path in sql_files(dialect, "queries").values():
        assert names.issuperset(_names(path))


def test_a_file_with_pages_has_the_first_and_the_next() -> None:
    queries = list(SQL.glob("*/queries/*.sql"))
    paged = [_names(path) for path in queries if len(_names(path)) > 1]
    assert ["migration_chunk_first", "migration_chunk_next"] in paged
    marked = {path for path in queries if re.search("(?m)-- .*page$", path.read_text())}
    assert len(marked) == len(paged)


def test_every_statement_is_used_by_the_program() -> None:
    """A name that stands in no module is of a statement that nobody runs."""
    plain, patterns = _strings()
    plain |= {f"{role}_{place}" for role in Role for place in Place}
    unused = [
        f"{path.relative_to(SQL)}: {name}"
        for path in SQL.rglob("*.sql")
        for name in _names(path)
        if name not in plain and not any(pattern.fullmatch(name) for pattern in patterns)
    ]
    assert unused == []


def _names(path: Path) -> list[str]:
    """The statements of a file: its steps, its pages, or itself."""
    steps = re.findall(r"^-- step: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if steps:
        return steps
    found = re.findall("-- (first|next) page$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [f"{path.stem}_{page}" for page in sorted(set(found))] or [path.stem]


def _strings() -> tuple[set[str], list[re.Pattern[str]]]:
    """The texts of the program, and its f-strings that say more than an underscore."""
    plain: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for path in modules(*PACKAGES, "alembic"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                plain.add(node.value.removesuffix(".sql"))
            elif isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
                said = "".join(str(part) for part in parts if part is not None)
                if re.fullmatch(r"\w*[a-z]{4}\w*", said):
                    pattern = "".join(r"\w+" if part is None else str(part) for part in parts)
                    patterns.append(re.compile(pattern))
    return plain, patterns


def _equal(texts: Mapping[str, object]) -> Iterator[list[str]]:
    """The keys, in groups of those whose text is equal."""
    groups: dict[object, list[str]] = defaultdict(list)
    for key, text in texts.items():
        groups[text].append(key)
    yield from groups.values()
