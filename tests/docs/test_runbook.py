"""Every block of the documents is executed, section by section, on a real database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.migration.apply import upgrade
from des_core.settings.config_file import load_settings
from support.pages.documents import (
    RUNS,
    SHOWN_ONLY,
    Block,
    Desk,
    Section,
    read_sections,
    sit_down,
)
from support.pages.outputs import dress, require_shown
from support.program.archive import make_settings
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.lost import lose_database
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

ROOT = Path(__file__).parents[2]
KEPT_BY_US = (
    *("des_archive_config", "des_archive_shard", "des_archive_slice", "des_archive_exception"),
    *("des_archive_event", "des_archive_worker", "des_archive_job", "des_admin_version"),
    *("des_archive_outcome", "des_archive_damage"),
)
DOCUMENTS = (
    "README.md",
    *sorted(f"docs/runbook/{p.name}" for p in (ROOT / "docs/runbook").glob("*.md")),
)
SECTIONS = [
    pytest.param(ROOT / name, section, id=f"{name}-{section.title}".replace(" ", "-").lower())
    for name in DOCUMENTS
    for section in read_sections(ROOT / name)
]


def move_forward(_: Path, database: TestDatabase) -> None:
    database.execute(
        "UPDATE des_archive_config SET archived_until = archived_until + INTERVAL '2 days'"
    )


def get_ahead(_: Path, database: TestDatabase) -> None:
    """As a cycle leaves it behind whose clock was three days ahead."""
    database.execute("UPDATE des_archive_config SET lag_days = lag_days + 3")


def unmount(directory: Path, _: TestDatabase) -> None:
    (directory / "shards").rename(directory / "mounted-elsewhere")
    (directory / "shards").mkdir()


def fail_a_cycle(_: Path, database: TestDatabase) -> None:
    """As a run leaves it behind whose disk was full."""
    database.execute(
        "INSERT INTO des_archive_outcome (job, worker, actor, started_at, ended_at, exit_code,"
        " files, message, hint) VALUES ('run', 0, 'runner', now(), now(), 4, 0,"
        " 'cannot write a file: No space left on device', 'df -h')"
    )


def unmount_sources(directory: Path) -> None:
    """Before the first cycle: what is below the mount point is not there."""
    root = next(directory.glob("source_*"))
    root.rename(directory / "sources-elsewhere")
    root.symlink_to(directory / "sources")


def delete_rows(_: Path, database: TestDatabase) -> None:
    database.execute("DELETE FROM files WHERE created_at::date = current_date - 10")


def damage_a_shard(directory: Path, _: TestDatabase) -> None:
    shard = min((directory / "shards").rglob("*.des"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.chmod(0o600)
    shard.write_bytes(content)


def hold_the_lock(_: Path, database: TestDatabase) -> None:
    """As a runner on another machine does that is at work."""
    database.execute(
        "UPDATE des_archive_lease SET purpose = 'run', token = 'another', host = 'node2',"
        " pid = 4711, process = 'elsewhere', acquired_at = now() - interval '3 minutes',"
        " heartbeat_at = now(), expires_at = now() + interval '1 minute' WHERE name = 'writer'"
    )


SITUATIONS: dict[str, Callable[[Path, TestDatabase], None]] = {
    "moved": move_forward,
    "ahead": get_ahead,
    "unmounted": unmount,
    "failed": fail_a_cycle,
    "gone": delete_rows,
    "damaged": damage_a_shard,
    "held": hold_the_lock,
}


def prepare(
    state: str,
    directory: Path,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
) -> Desk:
    """The desk of an operator before or after the cutover, or after a loss: of the whole database,
    or of the tables that are ours."""
    when, server = state.split()
    database = make_database(server)
    first_day = datetime.now(UTC).date() - timedelta(days=40)
    table = files_table(
        database,
        rows=2000,
        days=40,
        archived_days=20,
        holes=6,
        min_size=1,
        first_day=first_day,
        bad={"missing": 12, "directory": 2} if when == "failing" else {},
    )
    database.execute("ANALYZE" if database.kind != "mysql" else "ANALYZE TABLE files")
    settings = make_settings(
        database,
        directory / "shards",
        packer={"source_roots": [str(table.root)]},
        backup={"dir": str(directory / "backups")},
    )
    write_config(settings, directory / "des-admin.yaml")
    if when != "before":
        upgrade(settings)
    if when == "sourceless":
        unmount_sources(directory)
    elif when != "before":
        with open_archive(settings) as archive:
            run_cycle(archive)
    if when == "unledgered":
        for table in KEPT_BY_US:
            database.execute(f"DROP TABLE {table}")
    if when in SITUATIONS:
        SITUATIONS[when](directory, database)
    desk = sit_down(directory, database)
    if when == "lost":
        desk.run(Block("sh", "des-admin backup create")).check_returncode()
        lose_database(database)
    return desk


def check_yaml(block: Block, directory: Path) -> None:
    path = directory / "example.yaml"
    path.write_text(block.text)
    env = {"DB_USER": "archive", "DB_PASSWORD": "secret"}
    assert load_settings(path, env=env).settings.database.table_name


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_each_block_runs_and_prints_what_the_page_shows(
    page: Path,
    section: Section,
    tmp_path: Path,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    regenerate_golden: bool,
) -> None:
    assert section.state is not None, f"the section {section.title!r} names no state"
    desk = prepare(section.state, tmp_path, make_database, files_table)
    clothes = dress(desk)
    for number, block in enumerate(section.blocks):
        assert block.language in RUNS | SHOWN_ONLY, f"line {block.line}: {block.language}"
        if block.language == "yaml":
            check_yaml(block, tmp_path)
        if block.language not in ("sh", "sql"):
            continue
        for command in block.before:
            desk.run(Block("sh", clothes.undressed(command))).check_returncode()
        done = desk.run(replace(block, text=clothes.undressed(block.text)), together=True)
        said = f"{page.name}, line {block.line}:\n{block.text}\n{done.stdout}"
        assert done.returncode in block.exit_codes, f"exit {done.returncode}: {said}"
        assert "Traceback" not in done.stdout, said
        real = clothes.dressed(done.stdout)
        require_shown(page, section, number, real, said, regenerate=regenerate_golden)
