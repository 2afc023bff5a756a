"""The tutorial, typed from its first block to its last; and no document has a dead link."""

import re
from pathlib import Path

import pytest

from support.pages.documents import RUNS, SHOWN_ONLY, read_sections, sit_down
from support.pages.outputs import dress, require_shown
from support.servers.database import sqlite_database

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def test_the_tutorial_from_beginning_to_end(tmp_path: Path, regenerate_golden: bool) -> None:
    page = ROOT / "docs" / "tutorial.md"
    desk = sit_down(tmp_path, sqlite_database(tmp_path / "unused.db"))
    clothes = dress(desk, "/home/you/tutorial")
    done = 0
    for section in read_sections(page):
        for number, block in enumerate(section.blocks):
            assert block.language in RUNS | SHOWN_ONLY
            if block.language not in RUNS:
                continue
            result = desk.run(block, together=True)
            said = f"line {block.line}:\n{block.text}\n{result.stdout}"
            assert result.returncode in block.exit_codes, said
            assert "Traceback" not in result.stdout, said
            real = clothes.dressed(result.stdout)
            require_shown(page, section, number, real, said, regenerate=regenerate_golden)
            done += 1
    assert done > 15
    # The lag of seven days, by the formula: 23 whole days of 20 files and the one at midnight.
    assert result.stdout.splitlines()[-2:] == ["0|139", "1|461"]


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    dead = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []
