"""The database goes away: at a commit, after it before the answer, for a while in a run."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from des_core.settings.config import Settings
from support.crash.scene import CrashScene, make_scene
from support.crash.truth import check_truth, read_watermark_value
from support.program.archive import make_archive
from support.program.runner import start_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.mysql import MySqlServer
from support.servers.postgres import PostgresServer
from support.servers.proxy import CuttingProxy
from watermark_orchestrator import continuous
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.continuous import run_single
from watermark_orchestrator.cycle import CycleReport

CUTS_PER_ROUND = 2
AWAY_S_PER_ROUND = 0.3


@pytest.fixture(params=["postgres", "mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> PostgresServer | MySqlServer:
    server: PostgresServer | MySqlServer = request.getfixturevalue(f"{request.param}_server")
    return server


def through(proxy: CuttingProxy, settings: Settings) -> Settings:
    """The same archive, with its database behind the proxy."""
    database = settings.database.model_copy(
        update={"url": SecretStr(proxy.url(settings.source_url))}
    )
    return settings.model_copy(update={"database": database})


def run(settings: Settings) -> CycleReport:
    return run_single(partial(open_archive, settings))


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_cut_at_every_commit_before_it_and_before_its_answer(
    server: PostgresServer | MySqlServer,
    files_table: FilesTableFactory,
    tmp_path: Path,
    rounds: int,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    database = database_on(server)
    request.addfinalizer(lambda: server.drop_database(database.name))
    monkeypatch.setattr(continuous, "LONGEST_WAIT_S", 0.05)
    scene = make_scene(database, files_table, tmp_path)
    done: Counter[str] = Counter()
    with CuttingProxy(server.host, server.port) as proxy:
        settings = through(proxy, scene.settings)
        commits = count_commits(scene, proxy, settings)
        cuts = [(cut, at) for at in range(commits) for cut in ("before", "after")]
        if rounds < 100:
            cuts = random.Random(rounds).sample(cuts, min(len(cuts), rounds * CUTS_PER_ROUND))
        for cut, at in cuts:
            scene.prepare()
            proxy.arm(cut, at)  # type: ignore[arg-type]
            report = run(settings)
            done[cut] += proxy.has_cut
            scene.check(at_rest=True)
            assert_counted_once(scene, report)
    assert done.total() >= len(cuts) // 2
    print(f"\n{database.server}: cut at {dict(done)} of {commits} commits; nothing lost or twice")


def count_commits(scene: CrashScene, proxy: CuttingProxy, settings: Settings) -> int:
    for _ in range(8):
        scene.prepare()
        proxy.arm("before", -1)
        run(settings)
        scene.check(at_rest=True)
    return proxy.commits


def assert_counted_once(scene: CrashScene, report: CycleReport) -> None:
    """The report tells what the ledger tells, also of the slice whose commit had no answer."""
    newest = scene.database.rows(
        "SELECT files_out, files_failed FROM des_archive_slice WHERE kind = 'window'"
        " ORDER BY slice_id DESC LIMIT 1"
    )
    assert [(report.files_out, report.files_failed)] == newest
    assert report.slices == 1
    assert report.watermark == read_watermark_value(scene.database)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", ["postgres", "mariadb", "mysql"])
def test_the_database_is_away_for_a_while_in_the_middle_of_a_run(
    kind: str,
    private_postgres: Callable[..., Any],
    private_mysql: Callable[..., Any],
    files_table: FilesTableFactory,
    tmp_path: Path,
    rounds: int,
) -> None:
    server = private_postgres() if kind == "postgres" else private_mysql(kind)
    database: TestDatabase = database_on(server)
    table = files_table(database, rows=600, days=60)
    settings = make_archive(database, tmp_path / "out", packer={"workers": 2})
    config = write_config(settings, tmp_path / "config.yaml")
    away_s = min(60.0, rounds * AWAY_S_PER_ROUND)
    with start_runner(config, "--verbose") as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(3)]
        assert any("committed" in line for line in said), said
        server.kill9()
        threading.Event().wait(away_s)
        assert process.poll() is None, "the runner waits for the database"
        server.start()
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "cannot go on, trying again" in err
    assert "somebody else is at work" not in err, "it waited for its own lease to expire"
    assert check_truth(table, database, tmp_path / "out") == {}
    twice = database.rows(
        "SELECT window_end FROM des_archive_slice GROUP BY window_end HAVING COUNT(*) > 1"
    )
    assert twice == []
    print(f"\n{kind}: killed in the middle of a run, back after {away_s:.0f} s; ended right")
