"""The capacity model: each limit can be the one that counts, and documents show what it prints."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from des_core.basics.errors import UsageError
from des_core.progress.capacity import Load, Prices, Rates, Site, day_cost, plan_capacity
from support.program.own_process import program_command, program_env

ROOT = Path(__file__).parents[2]
LOAD = Load(files_per_day=1_000_000, mean_size_bytes=50_000, pending=10_000_000)
RATES = Rates(file_s=100e-6, mib_s=0.01, shard_s=0.001, slice_s=0.1, rows_per_s=200_000)


def plan(load: Load = LOAD, **site: object):  # type: ignore[no-untyped-def]
    return plan_capacity(load, Site(**site), RATES, Prices(0.005, 0.0004, 0.02))  # type: ignore[arg-type]


def test_the_terms_add_up() -> None:
    day = day_cost(LOAD, Site(workers=2, cores=4), RATES)
    content = 1_000_000 * 50_000 / (1 << 20)
    assert day.reading_s == pytest.approx(2.5)
    assert day.computing_s == pytest.approx((100 + content * 0.01 + 0.256) / 8)
    assert (day.requesting_s, day.fixed_s) == (0, 0.1)
    assert day.seconds == pytest.approx(2.5 + day.computing_s + 0.1)
    found = plan(workers=2, cores=4)
    assert found.files_per_s == pytest.approx(1_000_000 / day.seconds)
    spare = found.files_per_s - 1_000_000 / 86_400
    assert found.catch_up_s == pytest.approx(10_000_000 / spare)
    assert found.ledger_rows_per_day == 256 + 2


def test_each_limit_can_be_the_one_that_counts() -> None:
    assert plan().day.bound_by == "cores"
    assert plan(cores=4000).day.bound_by == "reading rows"
    slow = {"sources_in_store": True, "latency_s": 0.5, "requests_in_flight": 1}
    assert plan(**slow).day.bound_by == "requests"
    thin = plan(workers=2, network_mib_s=1.0)
    assert thin.day.bound_by == "the network"
    assert thin.day.transferring_s == pytest.approx(1_000_000 * 50_000 / (1 << 20) * (4 / 3) / 2)
    few = replace(LOAD, files_per_day=10)
    assert plan(few).day.bound_by == "the fixed cost of slices"
    many = replace(LOAD, files_per_day=10**9)
    assert plan(many).catch_up_s is None


def test_workers_share_all_but_the_reading_that_the_database_cannot_part() -> None:
    one, four = plan(workers=1), plan(workers=4)
    apart = plan(workers=4, is_filtered=False)
    assert four.day.computing_s == pytest.approx(one.day.computing_s / 4)
    assert four.day.reading_s == pytest.approx(one.day.reading_s / 4)
    assert apart.day.reading_s == one.day.reading_s
    assert apart.rows_read_per_day == 4 * four.rows_read_per_day


def test_requests_and_their_price() -> None:
    found = plan(sources_in_store=True, output_in_store=True)
    assert (found.requests.writes, found.requests.lists) == (257, 1)
    assert found.requests.reads == 1_000_000 + 257 + 1
    reads, writes = found.requests.reads + 1, found.requests.writes
    assert found.request_price_per_month == pytest.approx(30.4 * (reads * 4e-7 + writes * 5e-6))
    assert plan().request_price_per_month == 0


def test_shards_never_outnumber_files_nor_exceed_their_size() -> None:
    assert replace(LOAD, files_per_day=3).shards == 3
    assert LOAD.shards == 256
    giant = Load(1000, 10**9, n_bits=4)
    assert giant.shards >= 1000
    with pytest.raises(UsageError):
        replace(LOAD, ratio=0)


def test_the_documented_example_prints_what_stands_there(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    examples = re.findall(r"```sh\ndes-admin (.*?)\n```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert examples
    for arguments, shown in examples:
        done = subprocess.run(
            program_command(*arguments.split()),
            capture_output=True,
            text=True,
            env=program_env(tmp_path),
            check=True,
        )
        assert [line.rstrip() for line in done.stdout.splitlines()] == shown.splitlines()
