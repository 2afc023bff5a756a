"""A release has one version everywhere: program, changelog, images, upgrade, metadata."""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from des_core import __version__

ROOT = Path(__file__).parents[2]
URL = "https://git.example.org/archive/des-admin"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## \[(.+?)\] - (\d{4}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M)
    assert first is not None
    assert first[1] == __version__


def test_files_for_a_cluster_name_this_version() -> None:
    found = {
        tag
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file()
        for tag in re.findall(r"des-watermark:(v[\w.]+)", path.read_text(encoding="utf-8"))
    }
    assert found == {f"v{__version__}"}


def test_pages_install_and_name_this_version() -> None:
    pages = read("docs/runbook/daily.md") + read("docs/deployment.md") + read("CONTRIBUTING.md")
    pattern = r"des_admin-([\d.]+)-py3|des-watermark:v([\d.]+\d)|tag -a v([\d.]+\d)"
    named = re.findall(pattern, pages)
    assert {"".join(each) for each in named} == {__version__}
    assert f"Version {__version__.rpartition('.')[0]}," in read("README.md")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The source distribution and the wheel of this tree, as a publisher builds them."""
    pytest.importorskip("build")
    place = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place), str(ROOT)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "DES_PROJECT_URL": URL}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [source], [wheel] = place.glob("*.tar.gz"), place.glob("*.whl")
    yield source, wheel


def test_metadata_name_urls_authors_and_licence(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        [name] = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
        told = Parser().parsestr(wheel.read(name).decode())
    assert (told["Version"], told["License-Expression"]) == (__version__, "Apache-2.0")
    assert told["Author"] == "des-admin maintainers"
    addresses = [each.partition(", ")[2] for each in told.get_all("Project-URL")]
    assert len(addresses) == 4
    assert all(each.startswith(URL) for each in addresses)
    assert f"{URL}/raw/v{__version__}/docs/session.svg" in told.get_payload()


def test_both_hold_what_they_should(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        rooms = {name.partition("/")[0] for name in wheel.namelist()}
    info, data = f"des_admin-{__version__}.dist-info", f"des_admin-{__version__}.data"
    assert rooms == {"des_admin", "des_core", "watermark_orchestrator", info, data}
    with tarfile.open(built[0]) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    wanted = {name for name in listed if not name.startswith((".ci/", ".git"))}
    assert wanted - inside == set()
    assert {name for name in inside if name.startswith((".venv", ".git/", ".ci"))} == set()


def test_a_package_index_takes_both(built: tuple[Path, Path]) -> None:
    line = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
