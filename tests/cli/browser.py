"""A real browser that looks at a page: pictures of it, and what it measures there.

The page stands in frames of the widths of a phone and of a desk, side by side, since a browser
window cannot be made as narrow as a phone.
"""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.pages.tools import require_tool

WIDTHS = {"phone": 390, "desk": 1280}
HEIGHT = 4200
BETWEEN = 10
SCHEMES = {"dark": 0, "light": 1}

_FRAMES = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<style>body {{ margin: 0; display: flex; gap: {between}px }}
iframe {{ border: 0; height: {height}px; flex: none }}</style>
{frames}<script>
onload = () => {{
  const found = {{}};
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument, view = frame.contentWindow;
    const box = element => {{
      const {{left, top, right, bottom}} = element.getBoundingClientRect();
      return [left, top, right, bottom];
    }};
    found[frame.id] = {{
      client: page.documentElement.clientWidth,
      scroll: page.documentElement.scrollWidth,
      height: page.documentElement.scrollHeight,
      background: view.getComputedStyle(page.body).backgroundColor,
      text: view.getComputedStyle(page.body).color,
      figures: [...page.querySelectorAll("figure")].map(figure => ({{
        id: figure.id, box: box(figure),
        colour: getComputedStyle(figure.querySelector(".color-0") ?? figure).fill,
        words: [...figure.querySelectorAll("figcaption, svg text")]
          .filter(t => t.textContent.trim()).map(t => [t.textContent, ...box(t)]),
        size: Math.min(...[...figure.querySelectorAll("svg .axis text")].map(
          t => parseFloat(view.getComputedStyle(t).fontSize)
            * t.ownerSVGElement.getBoundingClientRect().width
            / t.ownerSVGElement.viewBox.baseVal.width)),
      }})),
    }};
  }}
  document.body.dataset.found = JSON.stringify(found);
}};
</script>"""


@dataclass(frozen=True)
class Look:
    """How the page looks at one width: what was measured, and its part of the picture."""

    width: int
    measured: Any
    picture: Image.Image

    def colours_of(self, figure: Any) -> dict[tuple[int, ...], int]:
        """Colours of a figure's pixels and how often each is there."""
        left, top, right, bottom = (round(edge) for edge in figure["box"])
        part = self.picture.crop((left, top, right, bottom)).convert("RGB")
        counted = part.getcolors(maxcolors=part.width * part.height)
        assert counted is not None
        return {tuple(colour): often for often, colour in counted}


def find_browser() -> str:
    """The program, or a skip (in CI: a failure) that names the package."""
    return shutil.which("chromium-browser") or require_tool("chromium")


def look_at(page: Path, scheme: str, picture: Path) -> dict[str, Look]:
    """The page at every width, dark or light. The picture is left in a file, for people."""
    browser = find_browser()
    text = html.escape(page.read_text(encoding="utf-8"))
    frames = "".join(
        f'<iframe id="{name}" width="{width}" srcdoc="{text}"></iframe>'
        for name, width in WIDTHS.items()
    )
    both = page.with_name(f"frames-{scheme}.html")
    both.write_text(_FRAMES.format(between=BETWEEN, height=HEIGHT, frames=frames))
    window = f"--window-size={sum(WIDTHS.values()) + BETWEEN * len(WIDTHS)},{HEIGHT}"
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--force-device-scale-factor=1", window, f"--user-data-dir={page.parent / 'profile'}"),
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    ]
    _run([*command, f"--screenshot={picture}", both.as_uri()])
    dom = _run([*command, "--dump-dom", both.as_uri()])
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match is not None, dom[:2000]
    measured = json.loads(html.unescape(match[1]))
    with Image.open(picture) as image:
        image.load()
    looks, left = {}, 0
    for name, width in WIDTHS.items():
        part = image.crop((left, 0, left + width, HEIGHT))
        looks[name] = Look(width, measured[name], part)
        left += width + BETWEEN
    return looks


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.fail(f"the browser ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
