"""The Polish pages follow the English ones: equal commands, and no section outdated in silence."""

import hashlib
import re
from pathlib import Path

import pytest

from docs.test_tutorial import anchors

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.pl.md", ROOT / "docs" / "operator-card.pl.md")
MARK = re.compile(r"^<!-- en: (?P<file>\S+)#(?P<anchor>\S+) (?P<hash>[0-9a-f]{12}) -->$", re.M)
OUTDATED = "> Ta sekcja może być nieaktualna: wersja angielska się zmieniła."


def sections(text: str) -> list[str]:
    """The second-level sections of a page, each with its heading."""
    return ["## " + part for part in re.split(r"^## ", text, flags=re.M)[1:]]


def english(file: str, anchor: str) -> str:
    """The English section of that anchor."""
    for section in sections((ROOT / file).read_text(encoding="utf-8")):
        heading = section.partition("\n")[0].removeprefix("## ")
        if re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") == anchor:
            return section.strip()
    raise AssertionError(f"{file} has no section #{anchor}; it has {anchors(ROOT / file)}")


def blocks(section: str) -> list[str]:
    fenced = re.findall(r"^```\w*\n(.*?)^```$", section, re.M | re.S)
    indented = re.findall(r"^    (make \w+)$", section, re.M)
    return fenced + indented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_section_follows_its_english_one(page: Path) -> None:
    for section in sections(page.read_text(encoding="utf-8")):
        mark = MARK.search(section)
        assert mark is not None, f"no mark of the English section in {section[:60]!r}"
        original = english(mark["file"], mark["anchor"])
        digest = hashlib.sha256(original.encode()).hexdigest()[:12]
        assert digest == mark["hash"] or OUTDATED in section, (
            f"{page.name}: {mark['anchor']} changed in English (now {digest}): translate it anew, "
            f"or say {OUTDATED!r}"
        )
        assert blocks(section) == blocks(original) or not blocks(section)
