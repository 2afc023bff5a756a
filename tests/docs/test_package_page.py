"""The README as a package index shows it: rendered as there, with no link that leads nowhere."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
URL = "https://git.example.org/archive/des-admin"
sys.path.append(str(ROOT))

from hatch_build import index_page, project_urls  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")


def render(text: str) -> str:
    markdown = pytest.importorskip("readme_renderer.markdown")
    pytest.importorskip("comrak")
    html = markdown.render(text)
    assert html is not None
    return str(html)


def targets(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', html)


def test_without_an_address_no_link_is_left() -> None:
    html = render(index_page(README, "", "1.0.0"))
    assert [each for each in targets(html) if not each.startswith(("https://", "#"))] == []
    assert "<!--" not in html
    assert "docs/concepts.md" in html
    assert "des-admin migrate plan" in html


def test_with_an_address_every_link_leads_to_a_file_of_this_version() -> None:
    html = render(index_page(README, URL, "1.0.0"))
    ours = [each for each in targets(html) if each.startswith(URL)]
    assert len(ours) > 20
    for target in [*ours, *project_urls(URL, "1.0.0").values()]:
        path = re.sub(rf"{re.escape(URL)}/?((blob|raw)/v1\.0\.0/)?", "", target)
        assert (ROOT / path.partition("#")[0]).exists(), target
    assert f'src="{URL}/raw/v1.0.0/docs/session.svg"' in html
    assert all(each.startswith(("https://", "#")) for each in targets(html))


def test_blocks_stay_as_they_are() -> None:
    text = "[a](b.md)\n\n```sh\n[a](b.md)\n```\n\n<!-- exit: 4 -->\n[c](d.md)\n"
    shown = index_page(text, URL, "2.0.0")
    assert shown == (
        f"[a]({URL}/blob/v2.0.0/b.md)\n\n```sh\n[a](b.md)\n```\n\n[c]({URL}/blob/v2.0.0/d.md)\n"
    )
