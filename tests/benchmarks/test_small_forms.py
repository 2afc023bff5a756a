"""Each benchmark runs in its small form, so that none stops working unnoticed.

What it measures there says nothing; that it measures, and prints its table, does.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from support.servers.kinds import require_server
from support.servers.postgres import find_postgres

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = {
    "bench_packing": ("--scale=0.001", "--rounds=1", "--only=tiny"),
    "bench_per_record": ("--scale=0.001", "--rounds=1"),
    "bench_memory": ("--scale=0.0005",),
    "bench_slow_sources": ("--scale=0.05", "--rounds=1", "--delay-ms=1"),
    "bench_one_get": ("--scale=0.02",),
    "bench_progress": ("--scale=0.001", "--rounds=1"),
    "bench_dictionary": ("--scale=0.01", "--only=json", "--sizes"),
    "bench_start": ("--rounds=1",),
    "bench_shard_cost": ("--files=200",),
    "bench_small_days": ("--files=60", "--days=3", "--rounds=1"),
    "bench_corpora": ("--most=40", "--rounds=1", "--gets=1", "--only=phrases"),
    "bench_plan": ("--most=200", "--rounds=1", "--only=json"),
    "bench_exporter": ("--only=sqlite", "--sizes", "1000", "2000"),
    "bench_migration_rollback": ("--rows=3000", "--server=postgres"),
    "bench_whole_cycle": ("--files=200", "--rows=500", "--rounds=1"),
}
WITHOUT_SERVER = {
    "bench_dictionary",
    "bench_exporter",
    "bench_slow_sources",
    "bench_one_get",
    "bench_shard_cost",
    "bench_start",
    "bench_whole_cycle",
}


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_measures(name: str, tmp_path: Path) -> None:
    if name not in WITHOUT_SERVER and find_postgres() is None:
        require_server("PostgreSQL")
    done = subprocess.run(
        [sys.executable, "-W", "error", f"{BENCHMARKS / name}.py", *SMALL[name]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "### " in done.stdout
    assert any(unit in done.stdout for unit in (" s ", " ms ", " × "))
