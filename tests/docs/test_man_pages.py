"""The man pages are what the help says, of every command, and roff has nothing to say of them."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from des_admin.app import make_app
from support.pages.tools import require_tool

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "man"
WRITER = ROOT / "scripts" / "write-man-pages"


def test_the_pages_are_what_the_help_says() -> None:
    done = subprocess.run([sys.executable, WRITER, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}: run scripts/write-man-pages"


@pytest.mark.parametrize("page", ["des-admin", "des-migrate", "des-retriever"])
def test_man_shows_the_page_without_a_warning(page: str) -> None:
    groff = require_tool("groff", in_ci=False)
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=78n", PAGES / f"{page}.1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout or page != "des-admin"


def test_every_command_has_its_section() -> None:
    text = (PAGES / "des-admin.1").read_text()
    commands = typer.main.get_command(make_app())
    for name, command in commands.commands.items():
        for words in (name, *(f"{name} {child}" for child in getattr(command, "commands", {}))):
            assert f".SS des-admin {words}\n".replace("-", "\\-") in text
