"""The pages that are written in the field's words stay so; CONTRIBUTING.md has the list."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = (
    *("README.md", "docs/concepts.md", "docs/configuration.md", "docs/guide.md"),
    *("docs/operator-card.md", "docs/python-api.md"),
)
HOUSE_JOKES = re.compile(
    r"what lies between|\bsays so\b|\bsay so\b|\bmend(s|ed|ing)?\b|in so many (words|letters)"
    r"|\bwhy on earth\b|a day at the office|\bmuch\b (files|rows)|\bbug of ours\b",
    re.I,
)


@pytest.mark.parametrize("page", WRITTEN)
def test_no_house_jokes(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = enumerate(text.splitlines(), 1)
    assert [f"{page}:{number}: {line}" for number, line in lines if HOUSE_JOKES.search(line)] == []


def test_the_list_names_what_is_banned() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for banned in ("what lies between", "says so", "mend"):
        assert f"`{banned}`" in text
