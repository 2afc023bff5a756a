"""Bad input: a clear error, the documented exit code, nothing changed, and never a traceback."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from des_core.basics.errors import ConfigError
from des_core.migration.apply import upgrade
from des_core.settings.config_file import load_settings
from support.crash.truth import archive_bytes, check_truth, read_open_exceptions
from support.program.archive import make_settings
from support.program.inside import run_here
from support.program.runner import write_config
from support.rows.filesdata import FilesTable, FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

GOOD = """\
database: {url: "sqlite:////nowhere/files.db"}
packer: {output_dir: /tmp}
"""


@dataclass
class Bench:
    """An archive, its configuration as a tree that a case may spoil, and the command line."""

    database: TestDatabase
    table: FilesTable
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "c.yaml"

    @property
    def out(self) -> Path:
        return self.directory / "out"

    def change(self, section: str, **fields: Any) -> None:
        tree = yaml.safe_load(self.config.read_text())
        tree[section] = {**tree.get(section, {}), **fields}
        self.config.write_text(yaml.safe_dump(tree))

    def des_admin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_here("--config", str(self.config), *arguments)


def expect(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    said = " ".join((done.stdout + done.stderr).split())
    for word in words:
        assert word in said, said


# --- The configuration file


@pytest.mark.parametrize("name", ["nul\0.yaml", "half\ud800.yaml", "x" * 5000])
def test_what_cannot_be_the_name_of_a_file(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|no file can have this name"):
        load_settings(Path(name), env={})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no configuration file", "des-admin init"]),
        (b"", ["empty", "des-admin init"]),
        (b"\x00\x01\x02\xff\xfe", ["UTF-8"]),
        (b"# " + b"x" * (2 << 20), ["larger than 1 MiB"]),
        (GOOD.replace("packer", "database").encode(), ["stands twice", "line"]),
        (GOOD.replace("url:", "ulr:").encode(), ["unknown key", "database.ulr", "url"]),
        (GOOD.replace("/tmp", "'${NOT_SET_HERE}'").encode(), ["NOT_SET_HERE", "packer.output_dir"]),
        (GOOD.replace("output_dir", "n_bits: many, output_dir").encode(), ["packer.n_bits"]),
        (GOOD.replace("{url", "{lag_days: -1, url").encode(), ["database.lag_days"]),
        (GOOD.replace("sqlite:", "oracle:").encode(), ["oracle", "supported"]),
        (GOOD.replace("sqlite:////nowhere/files.db", "no url").encode(), ["URL"]),
        (b"- a\n- b\n", ["mapping"]),
        (b"database: [1, 2\n", ["YAML", "line"]),
        (b"database: &a {b: *a}\n", ["aliases"]),
    ],
    ids=[
        *("missing", "empty", "binary", "huge", "duplicate-key", "unknown-key", "unset-variable"),
        *("wrong-type", "negative-lag", "unknown-database", "not-a-url", "list", "cut", "alias"),
    ],
)
def test_configuration(tmp_path: Path, content: bytes | None, words: list[str]) -> None:
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content)
    done = run_here("--config", str(path), "progress")
    expect(done, 2, *words, *([] if content is None or b"no" in content[-30:] else [str(path)]))


# --- Servers


def test_wrong_password_is_not_echoed(bench: Bench) -> None:
    if bench.database.kind == "sqlite":
        pytest.skip("SQLite has no passwords")
    url = yaml.safe_load(bench.config.read_text())["database"]["url"]
    head, _, tail = url.rpartition("@")
    bench.change("database", url=f"{head.rpartition(':')[0]}:canary-7d1f@{tail}")
    done = bench.des_admin("progress")
    expect(done, 10, "cannot be reached")
    assert "canary-7d1f" not in done.stdout + done.stderr


def test_unreachable_server(bench: Bench) -> None:
    urls = {
        "sqlite": "sqlite:////nowhere/at/all.db",
        "postgres": "postgresql://u:p@127.0.0.1:9/x",
        "mysql": "mysql://u:p@127.0.0.1:9/x",
    }
    bench.change("database", url=urls[bench.database.kind])
    expect(bench.des_admin("run"), 10)


def test_unreachable_config_database_is_no_lost_connection(bench: Bench) -> None:
    bench.change("watermark", config_db_url="mysql://u:p@127.0.0.1:9/x")
    done = bench.des_admin("run")
    expect(done, 10, "cannot be reached")
    assert "trying again" not in done.stderr


def test_database_without_the_table(bench: Bench) -> None:
    bench.change("database", table_name="filez")
    expect(bench.des_admin("run"), 12, "filez", "did you mean files")
    expect(bench.des_admin("migrate", "plan"), 12, "filez")


def test_table_without_the_column(bench: Bench) -> None:
    bench.change("database", location_column="location")
    expect(bench.des_admin("run"), 12, "location", "file_location")


def test_unknown_revision(bench: Bench) -> None:
    bench.database.execute("DELETE FROM des_admin_version")
    bench.database.execute("INSERT INTO des_admin_version VALUES ('9999_tomorrow')")
    expect(bench.des_admin("migrate", "up", "--yes"), 12, "9999_tomorrow")


@pytest.mark.parametrize("line", [["up", "--dry-run"], ["plan"]], ids=" ".join)
def test_a_plan_that_would_be_refused_is_no_success(bench: Bench, line: list[str]) -> None:
    done = bench.des_admin("migrate", *line, "--drop-archived", "--output", "json")
    expect(done, 4, "backup")
    gate = json.loads(done.stdout)["plan"]["gate"]
    assert [finding["is_passed"] for finding in gate if finding["check"] == "backup"] == [False]


# --- The watermark's row


def test_no_watermark_row(bench: Bench) -> None:
    bench.database.execute("DELETE FROM des_archive_config")
    expect(bench.des_admin("run"), 12, "no watermark")


def test_two_watermark_rows(bench: Bench) -> None:
    bench.database.execute("ALTER TABLE des_archive_config RENAME TO old_config")
    bench.database.execute("CREATE TABLE des_archive_config AS SELECT * FROM old_config")
    bench.database.execute("UPDATE old_config SET archived_until = archived_until")
    bench.database.execute("INSERT INTO des_archive_config SELECT * FROM old_config")
    expect(bench.des_admin("run"), 12, "exactly one row")


def test_watermark_in_the_future(bench: Bench) -> None:
    bench.database.execute("UPDATE des_archive_config SET archived_until = '2999-01-01 00:00:00'")
    expect(bench.des_admin("run"), 4, "future")
    expect(bench.des_admin("doctor"), 4, "future")


# --- Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrate", "up", "--yes", "--seed-at", "yesterday"], ["yesterday", "2024-11-01"]),
        (["watermark", "set", "31.12.2024", "--yes"], ["31.12.2024"]),
        (["watermark", "set", "9999-12-31", "--yes"], ["9999"]),
        (["watermark", "lag", "--yes", "--", "-1"], ["DAYS", "0"]),
        (["watermark", "lag", "many", "--yes"], ["DAYS", "integer"]),
        (["run", "--mode", "often"], ["often", "single"]),
        (["progress", "--days", "0"], ["days"]),
        (["no-such-command"], ["no-such-command"]),
        (["progress", "--no-such-flag"], ["--no-such-flag"]),
    ],
    ids=lambda value: "-".join(value) if "yes" not in str(value) else value[1],
)
def test_arguments(bench: Bench, arguments: list[str], words: list[str]) -> None:
    before = bench.database.rows("SELECT archived_until, lag_days FROM des_archive_config")
    expect(bench.des_admin(*arguments), 2, *words)
    after = bench.database.rows("SELECT archived_until, lag_days FROM des_archive_config")
    assert before == after


# --- Rows


def test_odd_but_good_uids_are_packed(bench: Bench) -> None:
    moment = datetime(2024, 1, 4, 12, tzinfo=UTC)
    for uid in ("it's", 'a"b', "a/b\\c", "two\nlines", "100%s", "a:b", "😀", "..", "-5", "٣"):
        bench.table.add(uid, moment, f"content of {uid}".encode())
    expect(bench.des_admin("run"), 0)
    assert check_truth(bench.table, bench.database, bench.out) == {}
    for uid in ("two\nlines", "😀", "-5"):
        target = bench.directory / "back"
        expect(bench.des_admin("archive", "get", "--to", str(target), "--", uid), 0)
        assert target.read_bytes() == f"content of {uid}".encode()
        target.unlink()


def test_bad_uids_become_exceptions(bench: Bench) -> None:
    moment = datetime(2024, 1, 4, 12, tzinfo=UTC)
    if bench.database.kind == "sqlite":
        bench.table.add("x" * 70_000, moment)
    bench.table.add("", moment)
    expect(bench.des_admin("run"), 3, "exceptions")
    reasons = {reason for _, reason in read_open_exceptions(bench.database).values()}
    assert reasons == {"bad_uid"}


def test_the_second_row_of_a_uid_becomes_an_exception(make_database: Any, tmp_path: Path) -> None:
    database = make_database("sqlite")
    database.execute(
        "CREATE TABLE files (uid TEXT, created_at TEXT, file_location TEXT,"
        " size_bytes INTEGER, archived BOOLEAN)"
    )
    for number in (1, 2):
        path = tmp_path / f"file{number}"
        path.write_bytes(b"x" * number)
        database.execute(
            "INSERT INTO files VALUES ('same', :c, :p, :n, 0)",
            {"c": f"2024-01-01 0{number}:00:00", "p": str(path), "n": number},
        )
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    config = write_config(settings, tmp_path / "c.yaml")
    expect(run_here("--config", str(config), "run"), 3)
    exceptions = database.rows(
        "SELECT created_at, reason FROM des_archive_exception WHERE resolved_at IS NULL"
    )
    assert exceptions == [("2024-01-01 02:00:00.000000", "duplicate_uid")]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "bad_location"),
        ("relative", "bad_location"),
        ("directory", "not_regular"),
        ("fifo", "not_regular"),
        ("device", "not_regular"),
        ("outside", "outside_roots"),
        ("link-out", "outside_roots"),
        ("missing", "missing"),
    ],
)
def test_bad_locations_become_exceptions(bench: Bench, kind: str, reason: str) -> None:
    if kind != "device":
        bench.change("packer", source_roots=[str(bench.table.root)])
    location = make_location(kind, bench.table.root, bench.directory)
    bench.table.add("bad", datetime(2024, 1, 4, 12, tzinfo=UTC), location=location)
    expect(bench.des_admin("run"), 3)
    assert read_open_exceptions(bench.database) == {"bad": (False, reason)}


def make_location(kind: str, root: Path, elsewhere: Path) -> str:
    path = root / f"bad-{kind}"
    (elsewhere / "secret").write_bytes(b"late\n")
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link-out":
        path.symlink_to(elsewhere / "secret")
    plain = {
        "empty": "",
        "relative": "some/file",
        "device": "/dev/null",
        "outside": str(elsewhere / "secret"),
    }
    return plain.get(kind, str(path))


@pytest.mark.sqlite
@pytest.mark.parametrize("value", [None, "soon", "2024-13-45", ""])
def test_created_at_that_is_no_time_is_found(
    make_bench: Callable[[str], Bench], value: str | None
) -> None:
    bench = make_bench("sqlite")
    bench.database.execute("ALTER TABLE files RENAME TO old_files")
    bench.database.execute("CREATE TABLE files AS SELECT * FROM old_files")
    bench.database.execute(
        "UPDATE files SET created_at = :v WHERE uid = :u",
        {
            "v": value,
            "u": min(bench.table.rows),
        },
    )
    expect(bench.des_admin("doctor"), 4, "created_at")


# --- The output directory


def test_output_missing(bench: Bench) -> None:
    shutil.rmtree(bench.out)
    expect(bench.des_admin("run"), 4, "output directory", "packer.output_dir")


def test_output_is_a_file(bench: Bench) -> None:
    shutil.rmtree(bench.out)
    bench.out.write_text("not a directory")
    expect(bench.des_admin("run"), 4, "output directory")


# --- Shards


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone"])
def test_a_damaged_shard_is_found(bench: Bench, harm: str) -> None:
    expect(bench.des_admin("run"), 0)
    before = archive_bytes(bench.out)
    shard = sorted(bench.out.glob("*.des"))[0]
    data = bytearray(shard.read_bytes())
    shard.unlink()
    data[len(data) // 2] ^= 1
    changed = {"cut": bytes(data[:-5]), "flip": bytes(data), "empty": b""}
    if harm in changed:
        shard.write_bytes(changed[harm])
    expect(bench.des_admin("verify"), 20, shard.name)
    left = archive_bytes(bench.out)
    assert {n: d for n, d in left.items() if n != shard.name} == {
        n: d for n, d in before.items() if n != shard.name
    }


@pytest.fixture
def make_bench(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Callable[[str], Bench]:
    """Makes an archive after its cutover, with nothing packed yet."""

    def make(server: str) -> Bench:
        database = make_database(server)
        table = files_table(database, rows=40, days=4)
        settings = make_settings(database, tmp_path / "out")
        upgrade(settings)
        write_config(settings, tmp_path / "c.yaml")
        return Bench(database, table, tmp_path)

    return make


@pytest.fixture
def bench(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Bench:
    """The same on each of the three servers in turn; after a test that changed nothing of it."""
    table = files_table(database, rows=40, days=4)
    before = canonical_rows(database)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    assert canonical_rows(database) == before
    write_config(settings, tmp_path / "c.yaml")
    return Bench(database, table, tmp_path)
