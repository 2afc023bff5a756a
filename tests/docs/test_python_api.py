"""The script of docs/python-api.md runs as it stands there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.program.archive import make_archive
from support.program.runner import environment
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"


@pytest.mark.postgres
def test_the_script_packs(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    script = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert script is not None
    database = make_database("postgres")
    files_table(database, rows=50, days=5, archived_days=2)
    make_archive(database, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", script[1]],
        env={
            **environment(),
            "DB_URL": database.url.replace("postgresql+psycopg://", "postgresql://"),
            "DES_OUTPUT": str(tmp_path / "out"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("30 files are pending\n30 files packed, watermark 2")
