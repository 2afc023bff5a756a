"""As root, nothing opens a source until the configuration says where sources may lie."""

import json
import os
from pathlib import Path

import pytest

from cli.conftest import ANYWHERE, Archive, Program, name_roots

JOBS = (
    "run",
    "run --mode continuous",
    "exceptions retry --yes",
    "sources delete --yes",
    "plan compression",
)
IS_ROOT = os.geteuid() == 0


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user reads what it may read")
@pytest.mark.parametrize("line", JOBS)
def test_root_is_refused_and_told_the_key(
    line: str, sqlite_archive: Archive, program: Program
) -> None:
    path = sqlite_archive.project / "des-admin.yaml"
    name_roots(path)
    done = program(*line.split(), expect=2)
    assert "packer.source_roots" in done.err
    assert '["/"]' in done.err or line.startswith("sources")
    assert not list((sqlite_archive.project / "output").glob("*.des"))


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user reads what it may read")
def test_the_runner_and_the_per_record_way_refuse_too(
    sqlite_archive: Archive, program: Program
) -> None:
    config = sqlite_archive.project / "des-admin.yaml"
    name_roots(config)
    done = program("--config", str(config), module="watermark_orchestrator.__main__", expect=2)
    assert "packer.source_roots" in done.err
    done = program("--config", str(config), module="des_admin.per_record_cli", expect=2)
    assert "packer.source_roots" in done.err


def test_doctor_advises_an_ordinary_user_and_fails_root(
    sqlite_archive: Archive, program: Program
) -> None:
    name_roots(sqlite_archive.project / "des-admin.yaml")
    shown = program("doctor", "--output", "json", expect=None)
    checks = {check["name"]: check for check in shown.json["checks"]}
    found = checks["source roots"]
    assert found["status"] == ("failed" if IS_ROOT else "warning")
    assert "packer.source_roots" in found["hint"]
    assert shown.code == (4 if IS_ROOT else 0)


def test_the_whole_machine_must_be_said_in_so_many_letters(
    sqlite_archive: Archive, program: Program
) -> None:
    assert ANYWHERE in (sqlite_archive.project / "des-admin.yaml").read_text()
    program("run")
    assert list(Path(sqlite_archive.project / "output").glob("*.des"))


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user reads what it may read")
def test_the_whole_machine_in_another_spelling_is_no_name(
    sqlite_archive: Archive, program: Program
) -> None:
    """`.` is one for a job whose working directory is /."""
    (sqlite_archive.project / "all").symlink_to("/")
    for spelling in ("//", "/.", "/../", "all", "/proc/self/root"):
        env = {"DES_ADMIN__PACKER__SOURCE_ROOTS": json.dumps([spelling])}
        done = program("run", env=env, expect=2)
        assert "packer.source_roots" in done.err, spelling
    assert not list((sqlite_archive.project / "output").glob("*.des"))


def test_numbers_need_no_roots(sqlite_archive: Archive, program: Program) -> None:
    name_roots(sqlite_archive.project / "des-admin.yaml")
    for line in ("progress", "run --dry-run", "watermark show", "exceptions list"):
        program(*line.split())
