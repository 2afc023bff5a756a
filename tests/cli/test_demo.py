"""The demo, as a newcomer runs it, only smaller."""

from pathlib import Path

import pytest

from cli.conftest import CANARY, Program


def test_demo(program: Program, project: Path) -> None:
    # Nothing of the user's own settings may reach it.
    env = {"DES_ADMIN__DATABASE__URL": f"postgresql://x:{CANARY}@127.0.0.1:1/x"}
    line = "demo --files 2000 --dir played --output json"
    done = program(*line.split(), env=env, separate=True)
    played = done.json
    assert (played["files"], played["rows_checked"]) == (2007, 2007)
    assert played["exceptions"] == 3
    assert 1000 < played["archived"] < 2000
    assert [step["exit_code"] for step in played["steps"] if step["exit_code"]] == [4, 3]
    assert "$ des-admin migrate up --drop-archived --backup" in done.err
    assert (project / "played" / "restored.bin").stat().st_size == 11 << 20


def test_demo_leaves_nothing_behind(program: Program, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    done = program("demo", "--files", "2000", env={"TMPDIR": str(place)}, separate=True)
    assert "The whole way, there and back" in done.out
    assert not any(place.iterdir())


@pytest.mark.parametrize(("directory", "code"), [(".", 2), ("/proc/x", 2)])
def test_demo_refuses_other_peoples_directories(
    directory: str, code: int, program: Program
) -> None:
    program("demo", "--dir", directory, expect=code)
