"""Before the first cycle: what shards will be like, and that nobody makes tiny ones unasked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.conftest import Program, write_config
from des_core.basics.errors import Refused
from des_core.packing.forecast import advise_bits, forecast_shards, shards_of
from support.program.archive import make_archive
from support.program.scale import run_alone
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.first_cycle import require_shape


def test_the_forecast_is_what_then_comes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=1500, days=10, max_size=50)
    settings = make_archive(database, tmp_path / "out", packer={"n_bits": 8})
    with open_archive(settings) as archive:
        until = archive.source.clock().now
        forecast = forecast_shards(archive.source, 8, until)
        assert forecast is not None
        with pytest.raises(Refused, match="few files") as error:
            require_shape(archive)
    assert (forecast.advised_bits, forecast.has_few_files) == (4, True)
    assert "packer.n_bits: 4" in str(error.value.hint)
    report = run_alone(settings)
    assert report.shards / 10 == pytest.approx(forecast.shards_a_day, rel=0.1)
    assert 1500 / report.shards == pytest.approx(forecast.files_a_shard, rel=0.1)
    with open_archive(settings) as archive:
        require_shape(archive)  # it has begun: now it stays


def test_few_files_a_day_make_few_shards_where_the_buckets_are_few(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=150, days=1, max_size=50)
    settings = make_archive(database, tmp_path / "out", packer={"n_bits": 4})
    # One for each bucket, and a part more for the row of midnight, which ends the slice before.
    assert run_alone(settings).shards <= 17
    assert advise_bits(150, 8) == 4
    assert shards_of(150, 8) == pytest.approx(113.7, abs=1)


def test_an_empty_table_has_no_forecast(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=0)
    settings = make_archive(database, tmp_path / "out")
    with open_archive(settings) as archive:
        require_shape(archive)
        assert forecast_shards(archive.source, 8, archive.source.clock().now) is None


def shards_check(program: Program) -> dict[str, str]:
    """What doctor says of the shards."""
    checks = program("doctor", "--output", "json", expect=None).json["checks"]
    return next(check for check in checks if check["name"] == "shards")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_first_run_wants_a_word(
    database: TestDatabase, files_table: FilesTableFactory, project: Path, program: Program
) -> None:
    files_table(database, rows=100, days=10)
    path = write_config(project, database.url)
    path.write_text(path.read_text().replace("  n_bits: 4\n", ""))
    plan = program("migrate", "plan").out
    assert re.search(
        r"shards will hold +about 1\.0 files of [0-9,]+ (bytes|KiB) a shard, 10 shards", plan
    )
    assert "before the first cycle, set packer.n_bits: 4; nobody can change it later" in plan
    program("migrate", "up", "--yes")
    done = program("run", expect=4)
    assert "packer.n_bits: 4" in done.err
    checks = {
        check["name"]: check
        for check in program("doctor", "--output", "json", expect=None).json["checks"]
    }
    assert checks["shards"]["status"] == "warning"
    program("run", "--yes")
    program("run")
    checks = {
        check["name"]: check
        for check in program("doctor", "--output", "json", expect=None).json["checks"]
    }
    assert checks["shards"]["status"] == "ok"
    program("migrate", "down", "--yes")
    again = program("migrate", "plan", "--output", "json").json["plan"]
    assert again["shards"] is None, "an archive that has begun keeps its n_bits"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_plan_foretells_what_doctor_foretells(
    database: TestDatabase, files_table: FilesTableFactory, project: Path, program: Program
) -> None:
    files_table(database, rows=600, days=3)
    write_config(project, database.url)
    shards = program("migrate", "plan", "--output", "json").json["plan"]["shards"]
    assert (shards["n_bits"], shards["advised_bits"]) == (4, 4)
    assert shards["bytes_a_shard"] > 0
    assert shards["shards_a_year"] == pytest.approx(16 * 365, rel=0.1)
    program("migrate", "up", "--yes")
    assert f"about {shards['files_a_shard']:,.1f} files of" in shards_check(program)["detail"]
