"""What others put into the output, and values that are longer than any screen."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.conftest import Archive, Program, name_roots
from des_core.ledger.archive_identity import MARK
from des_core.storage.layout import MANIFESTS_DIR

DEEP = 30_000


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


# A name is taken by each of these in turn.
PLANTED: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_text("[" * DEEP),
    "nested objects": lambda path: path.write_text('{"a":' * DEEP),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 99),
    "empty": lambda path: path.touch(),
    "a number": lambda path: path.write_text("1" * DEEP),
    "huge": sparse,
    "a FIFO": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
    "a link to a device": linked("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": linked("/nowhere/at/all"),
    "a link to terminals": linked("/proc/self/fd/0"),
    "a link to memory": linked("/proc/self/mem"),
}
COMMANDS = (
    *("verify", "doctor --output json", "run", "archive ls", "archive has x", "reconcile"),
    *("sources delete --dry-run", "ledger rebuild --dry-run", "watermark history --check"),
)
CODES = {0, 3, 4, 20}
ALWAYS = {"nested", "a FIFO", "a link to a device"}


@pytest.mark.parametrize("kind", PLANTED)
def test_whatever_lies_in_the_output_ends_no_command_badly(
    sqlite_archive: Archive, program: Program, kind: str, is_soak: bool
) -> None:
    """In place of the mark, of a manifest, of a head of the trail, and beside the shards.

    All of it with `DES_TEST_ROUNDS=1`.
    """
    if not is_soak and kind not in ALWAYS:
        pytest.skip("one of many kinds: DES_TEST_ROUNDS=1 tries all")
    commands = COMMANDS if is_soak else COMMANDS[:3]
    output = Path(sqlite_archive.settings.packer.output_dir)
    name_roots(sqlite_archive.project / "des-admin.yaml", sqlite_archive.table.root)
    program("run", expect=None)
    manifest = min((output / MANIFESTS_DIR).glob("2*.json"))
    head = min((output / MANIFESTS_DIR).glob("trail_*.json"))
    shard = min(output.glob("*.des"))
    planted = [
        *(output / MARK, manifest, head, shard),
        output / f"{shard.name[:-8]}0001.des",
        output / MANIFESTS_DIR / "trail_999999999999_nothing.json",
    ]
    for path in planted:
        if path.exists():
            path.rename(path.with_name(f"kept-{path.name}"))
        PLANTED[kind](path)
        codes = {}
        for command in commands:
            began = time.monotonic()
            codes[command] = program(*command.split(), expect=None).code
            assert time.monotonic() - began < 60, (path.name, command)
        assert set(codes.values()) <= CODES, (path.name, codes)
        if path in (output / MARK, manifest, shard):  # of a head, the name alone counts
            assert any(codes.values()), f"nobody saw {path.name}"
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if path.with_name(f"kept-{path.name}").exists():
            path.with_name(f"kept-{path.name}").rename(path)
    assert program("verify", expect=None).code in {0, 20}


def test_a_shard_of_a_year_that_no_ledger_holds(sqlite_archive: Archive, program: Program) -> None:
    program("run", expect=None)
    output = Path(sqlite_archive.settings.packer.output_dir)
    for day in ("00010101", "99991231"):
        shutil.copy(min(output.glob("2*.des")), output / f"{day}_0_0000.des")
    done = program("ledger", "rebuild", "--dry-run", expect=4)
    assert done.out.count("the ledger cannot hold a day of that year") == 2


def test_names_of_shards_that_lead_nowhere(sqlite_archive: Archive, program: Program) -> None:
    """One that a manifest has, and one that nothing tells of: the others are recorded."""
    program("run", expect=None)
    output = Path(sqlite_archive.settings.packer.output_dir)
    claimed = min(output.glob("2*.des"))
    claimed.unlink()
    nowhere = [claimed.name, f"{claimed.name[:-8]}0007.des"]
    for name in nowhere:
        (output / name).symlink_to("/nowhere/at/all")
    shards = int(sqlite_archive.config.value("SELECT COUNT(*) FROM des_archive_shard"))
    sqlite_archive.config.execute("DELETE FROM des_archive_shard")
    done = program("--output", "json", "ledger", "rebuild", "--yes", expect=4)
    assert set(json.loads(done.out)["problems"]) == set(nowhere)
    assert sqlite_archive.config.value("SELECT COUNT(*) FROM des_archive_shard") == shards - 1
    assert claimed.name in program("verify", expect=20).out


@pytest.mark.parametrize("form", [(), ("--output", "json")])
def test_no_error_is_longer_than_a_screen(
    sqlite_archive: Archive, program: Program, form: tuple[str, ...]
) -> None:
    long = "x" * 100_000
    for line in (
        *(["watermark", "set", long], ["archive", "get", long], ["archive", "get", "/" + long]),
        *(["archive", "ls", "--shard", long], ["sql", "show", long]),
        *(["backup", "check", long], ["--config", long, "doctor"], ["--profile", long, "run"]),
        *([long], ["run", f"--{long}"], ["exceptions", "list", "--only", long]),
        *(["watermark", "history", "--check", "--expect", long], ["verify", "--day", long]),
    ):
        done = program(*form, *line, expect=None)
        assert done.code not in {0, 1, 3}, (line[0], done.err[:500])
        assert len(done.err) < 20_000, line[:2]


@pytest.mark.parametrize("details", ["{", "[" * DEEP, "", "\x00", '"text"', "[1]"])
def test_details_that_somebody_altered_stop_no_history(
    sqlite_archive: Archive, program: Program, details: str
) -> None:
    """It is the very command that finds what was altered."""
    program("run", expect=None)
    sqlite_archive.config.execute("UPDATE des_archive_event SET details = :d", {"d": details})
    for line in ("watermark history", "watermark history --check", "doctor", "progress"):
        for form in ([], ["--output", "json"]):
            done = program(*form, *line.split(), expect=None)
            assert done.code in {0, 4}, (line, done.err[-2000:])
    checked = program("--output", "json", "watermark", "history", "--check", expect=4)
    assert json.loads(checked.out)["chain"]["broken_at"] is not None
