"""What a package index shows: the README, with links that lead somewhere from there, too.

DES_PROJECT_URL is the address of the published repository. With it, links and the picture become
addresses below it, and the project's URLs stand in the metadata; without it nobody knows one, so
links become the names of the files, which the source distribution holds.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"(?ms)^( *)```.*?^\1```$")
COMMENT = re.compile(r"(?m)^<!--.*?-->\n+")


class CustomMetadataHook(MetadataHookInterface):  # type: ignore[misc]
    """Fills in `readme` and, if the address is known, `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        url = os.environ.get("DES_PROJECT_URL", "").rstrip("/")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = index_page(text, url, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = project_urls(url, metadata["version"]) if url else {}


def project_urls(url: str, version: str) -> dict[str, str]:
    tree = f"{url}/blob/v{version}"
    return {
        "Source": url,
        "Documentation": f"{tree}/docs/concepts.md",
        "Runbook": f"{tree}/RUNBOOK.md",
        "Changelog": f"{tree}/CHANGELOG.md",
    }


def index_page(text: str, url: str, version: str) -> str:
    """The README as a package index may show it: no relative link, no comment for tests."""

    def replaced(link: re.Match[str]) -> str:
        target, words = link["target"], link["text"]
        if re.match(r"https?:|mailto:|#", target):
            return link[0]
        if url:
            kind = "raw" if link["picture"] else "blob"
            return f"{link['picture']}[{words}]({url}/{kind}/v{version}/{target})"
        if link["picture"]:
            return f"*{words} (picture: `{target}`)*"
        return words if words == target else f"{words} (`{target}`)"

    pieces, end = [], 0
    for block in BLOCK.finditer(text):
        pieces += [_prose(text[end : block.start()], replaced), block[0]]
        end = block.end()
    return "".join([*pieces, _prose(text[end:], replaced)])


def _prose(text: str, replaced: Any) -> str:
    return LINK.sub(replaced, COMMENT.sub("", text))
