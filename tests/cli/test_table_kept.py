"""Another table than the archive's is refused before a window closes without its rows."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Archive, Program

COMMANDS = (
    "run",
    "run --dry-run",
    "exceptions retry --yes",
    "reconcile",
    "progress",
    "watermark set 2024-01-06 --yes",
    "watermark lag 9 --yes",
    "compliance sync",
    "migrate down --yes",
    "migrate plan",
    "migrate status",
)


def set_table(archive: Archive, name: str) -> None:
    path = archive.project / "des-admin.yaml"
    url = next(line for line in path.read_text().splitlines() if line.startswith("  url:"))
    lines = [line for line in path.read_text().splitlines() if "table_name" not in line]
    lines.insert(lines.index(url) + 1, f"  table_name: {name}")
    path.write_text("\n".join(lines) + "\n")


def picture(archive: Archive) -> tuple[object, ...]:
    names = ("des_archive_config", "des_archive_slice", "des_archive_exception")
    return tuple(sorted(map(str, archive.config.rows(f"SELECT * FROM {name}"))) for name in names)


def require_refused(program: Program) -> None:
    for line in COMMANDS:
        done = program(*line.split(), expect=2 if "retry" not in line else None)
        assert "that of the table files" in done.err or "nothing to try" in done.out, line


def test_another_table_is_refused(archive: Archive, program: Program) -> None:
    program("run")
    program("watermark", "set", "2024-01-08", "--yes")
    archive.source.execute("CREATE TABLE invoices AS SELECT * FROM files WHERE 1 = 0")
    before = picture(archive)
    set_table(archive, "invoices")
    require_refused(program)
    checks = program("doctor", "--output", "json", expect=4).json["checks"]
    found = {check["name"]: check for check in checks}
    assert "that of the table files" in found["watermark"]["detail"]
    assert "docs/migrations.md" in found["index"]["hint"]
    assert picture(archive) == before
    set_table(archive, "files")
    program("run")


def test_the_seed_knows_the_table_before_the_first_slice(
    archive: Archive, program: Program
) -> None:
    archive.source.execute("CREATE TABLE invoices AS SELECT * FROM files")
    before = picture(archive)
    set_table(archive, "invoices")
    require_refused(program)
    assert picture(archive) == before


def test_a_renamed_table_is_the_same(archive: Archive, program: Program) -> None:
    program("run")
    program("watermark", "set", "2024-01-08", "--yes")
    archive.source.execute("ALTER TABLE files RENAME TO documents")
    archive.source.execute("CREATE VIEW files AS SELECT * FROM documents")
    set_table(archive, "documents")
    report = program("run", "--output", "json").json
    assert report["files_present"] == report["files_out"] > 0


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_column_of_a_type_that_only_its_server_knows(archive: Archive, project: Path) -> None:
    """As those of PostGIS: it is nothing to us, and nothing is said of it."""
    archive.source.execute("CREATE TYPE pair AS (a integer, b integer)")
    archive.source.execute("ALTER TABLE files ADD COLUMN odd pair")
    command = [sys.executable, "-m", "des_admin", "run", "--dry-run"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "Warning" not in done.stderr
