"""The locks fit pyproject.toml: whatever is installed by them is in them, by version and hash."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pytest
from hatchling.build import get_requires_for_build_editable
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.pages.deployment import DEPLOY, ROOT

LOCKS = ROOT / "requirements"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WRITES = re.compile(r"^write (\S+) (\S+)(.*)$", re.MULTILINE)
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ;.*)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


@dataclass
class Pin:
    version: Version
    marker: str
    hashes: list[str] = field(default_factory=list)


def read_lock(name: str) -> dict[str, Pin]:
    """Every line is a pin, a hash of the pin before it, or a comment: nothing else slips in."""
    pins: dict[str, Pin] = {}
    newest: Pin | None = None
    for line in (LOCKS / f"{name}.lock").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if pin := PINNED.match(line):
            newest = Pin(Version(pin[2]), (pin[3] or "").strip(" ;"))
            pins[canonicalize_name(pin[1])] = newest
        else:
            assert HASH.match(line), (name, line)
            assert newest is not None
            newest.hashes.append(line.strip())
    return pins


def recipes() -> dict[str, list[str]]:
    """What each lock is made of, as scripts/write-locks says: extras, and packages beside them."""
    found = {}
    for name, extras, more in WRITES.findall((ROOT / "scripts" / "write-locks").read_text()):
        wanted = [*PROJECT["project"]["dependencies"], *shlex.split(more)]
        for extra in extras.split(","):
            wanted += PROJECT["project"]["optional-dependencies"][extra]
        found[name] = [text for text in wanted if not text.startswith("des-admin")]
    return found


def is_met(requirement: Requirement, pins: dict[str, Pin]) -> bool:
    pin = pins.get(canonicalize_name(requirement.name))
    return pin is not None and requirement.specifier.contains(pin.version, prereleases=True)


def needed_by(name: str, pins: dict[str, Pin], extras: frozenset[str]) -> Iterator[Requirement]:
    """What the locked version needs, where the same version is installed here."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return
    if Version(installed.version) != pins[name].version:
        return
    for text in installed.requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in (*extras, "")]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield requirement


def test_each_lock_is_written_by_the_script_and_installed_by_somebody() -> None:
    assert {path.stem for path in LOCKS.glob("*.lock")} == recipes().keys()
    assert "requirements/container.lock" in (DEPLOY / "Containerfile").read_text()
    assert "requirements/development.lock" in (ROOT / "scripts" / "setup-venv").read_text()


@pytest.mark.parametrize("name", recipes())
def test_what_the_project_asks_for_is_in_the_lock(name: str) -> None:
    pins = read_lock(name)
    missing = [
        text
        for text in recipes()[name]
        if (wanted := Requirement(text)).marker is None or wanted.marker.evaluate()
        if not is_met(wanted, pins)
    ]
    assert missing == [], "scripts/write-locks writes the locks again"
    assert all(pin.hashes for pin in pins.values())


@pytest.mark.parametrize("name", recipes())
def test_what_these_need_is_in_the_lock_too(name: str) -> None:
    """pip would refuse a package without a hash, when an image is built: too late."""
    pins = read_lock(name)
    extras: dict[str, frozenset[str]] = {}
    for text in recipes()[name]:
        wanted = Requirement(text)
        key = canonicalize_name(wanted.name)
        extras[key] = extras.get(key, frozenset()) | wanted.extras
    missing, looked_at = [], 0
    for package in pins:
        for needed in needed_by(package, pins, extras.get(package, frozenset())):
            looked_at += 1
            if not is_met(needed, pins):
                missing.append(f"{package} needs {needed}")
    assert missing == []
    assert looked_at > 20, "hardly a package of the lock is installed here in its version"


def test_the_image_can_build_our_wheel_from_its_lock() -> None:
    for name in ("container", "container-dask"):
        pins = read_lock(name)
        assert all(is_met(Requirement(text), pins) for text in PROJECT["build-system"]["requires"])
    container = (DEPLOY / "Containerfile").read_text()
    removed = re.search(r"pip uninstall --yes (.+)", container)
    assert removed is not None
    assert set(removed[1].split()) - {"pip"} <= read_lock("container").keys()


def test_the_development_lock_can_install_our_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so without isolation: what the backend asks for then must be in the lock, too."""
    monkeypatch.chdir(ROOT)
    pins, wanted = read_lock("development"), get_requires_for_build_editable()
    assert wanted
    assert [text for text in wanted if not is_met(Requirement(text), pins)] == []


def test_a_container_has_no_more_than_the_development_tools_were_tested_with() -> None:
    """One version of a package for tests and image."""
    tested = read_lock("development")
    for name in ("container", "container-dask"):
        other = {
            package: f"{pin.version} (tested: {tested[package].version})"
            for package, pin in read_lock(name).items()
            if package in tested and tested[package].version != pin.version
        }
        assert other == {}, name
