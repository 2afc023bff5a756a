"""Two nodes of a Galera cluster: each takes writes; conflicts show at COMMIT, as a deadlock."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from des_core.basics.errors import DatabaseUnreachable, ExitCode, LockHeld
from des_core.basics.timestamps import parse_stored, to_us
from des_core.locks.leases import LEASE
from des_core.migration.apply import downgrade
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.program.migrating import rows_by_formula
from support.program.runner import start_runner, write_config
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase, to_microseconds
from support.servers.galera import GaleraCluster, find_galera
from support.servers.kinds import database_on, require_mysql, require_server
from support.servers.mysql import MySqlServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
# The one that came second is told so, or finds its transaction in conflict with the first one's.
ENDS = {ExitCode.DONE, ExitCode.LOCKED, ExitCode.REFUSED}


@pytest.fixture(scope="module")
def cluster() -> Iterator[GaleraCluster]:
    provider = find_galera() or require_server("Galera")
    with GaleraCluster(require_mysql("mariadb"), provider) as running:
        yield running


def at(url: str, settings: Settings, path: Path) -> Path:
    """The configuration of the same archive for a runner that speaks to this node."""
    database = settings.database.model_copy(update={"url": SecretStr(url)})
    return write_config(settings.model_copy(update={"database": database}), path)


def each_round(
    cluster: GaleraCluster, directory: Path, rounds: int
) -> Iterator[tuple[TestDatabase, MySqlServer, Path]]:
    """A fresh database on the first node, the second node at work, and a directory; for each."""
    first, second = cluster.nodes
    for number in range(max(1, rounds // 10)):
        if not second.is_running:
            second.start()
        place = directory / str(number)
        place.mkdir()
        database = database_on(first)
        yield database, second, place
        first.drop_database(database.name)


def test_two_runners_on_two_nodes_then_one_alone(
    cluster: GaleraCluster, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    ended: Counter[int] = Counter()
    for database, second, place in each_round(cluster, tmp_path, rounds):
        ended.update(one_round(database, second, files_table, place))
    print(f"\nGalera: {ended.total() // 2} rounds of two runners, who ended with {dict(ended)}")


def one_round(
    database: TestDatabase, second: MySqlServer, files_table: FilesTableFactory, place: Path
) -> list[int]:
    """Two runners at once, on a node each; the second node killed; one runner, and the way back."""
    table = files_table(database, rows=300, days=20, archived_days=3)
    settings = make_archive(database, place / "out")
    configs = [
        at(url, settings, place / name)
        for url, name in ((database.url, "a.yaml"), (second.url(database.name), "b.yaml"))
    ]
    runners = [start_runner(config) for config in configs]
    said = [runner.communicate(timeout=200)[1] for runner in runners]
    codes = [runner.returncode for runner in runners]
    assert set(codes) <= ENDS, said
    assert "Traceback" not in "".join(said)
    second.kill9()
    with start_runner(configs[0]) as runner:
        _, err = runner.communicate(timeout=200)
    assert runner.returncode == 0, err
    assert check_truth(table, database, place / "out") == {}
    expected = rows_by_formula(database, database)
    downgrade(settings)
    assert canonical_rows(database) == expected
    return codes


def test_down_on_one_node_while_the_other_packs(
    cluster: GaleraCluster, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    ended: Counter[str] = Counter()
    for number, (database, second, place) in enumerate(each_round(cluster, tmp_path, rounds)):
        ended.update([down_beside_a_run(database, second, files_table, place, number)])
    print(f"\nGalera: {ended.total()} rounds of down beside run, in which {dict(ended)}")


def down_beside_a_run(
    database: TestDatabase,
    second: MySqlServer,
    files_table: FilesTableFactory,
    place: Path,
    number: int,
) -> str:
    """A runner on the second node, `down` on the first; every other time the second is killed."""
    files_table(database, rows=300, days=60, archived_days=3)
    settings = make_archive(database, place / "out")
    runner = start_runner(at(second.url(database.name), settings, place / "b.yaml"))
    wait_for_slices(database, runner, wanted=number % 7)
    if number % 2:
        second.kill9()
    deadline = time.monotonic() + LEASE.total_seconds() + 100
    while True:
        try:
            downgrade(settings)
            break
        except (LockHeld, DatabaseUnreachable):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    if not second.is_running:
        second.start()  # the runner waits five minutes for its database; now it finds it retired
    _, err = runner.communicate(timeout=200)
    assert "Traceback" not in err
    assert runner.returncode != ExitCode.BUG, err
    assert "des_archive_config" not in database.table_names()
    # The watermark that went is in the trail; nothing was packed beyond it, and all flags say it.
    [(went,)] = database.rows(
        "SELECT from_value FROM des_archive_event WHERE action = 'migrate.down'"
    )
    until = to_us(parse_stored(went))
    assert {row[0] for row in canonical_rows(database) if row[4]} == {
        row[0] for row in canonical_rows(database) if row[1] <= until
    }
    last = to_microseconds(database.value("SELECT MAX(window_end) FROM des_archive_slice"))
    assert last is None or last <= until
    return f"the runner ended with {runner.returncode}"


def wait_for_slices(database: TestDatabase, runner: subprocess.Popen[str], wanted: int) -> None:
    """Until it has packed so many, or has ended."""
    while runner.poll() is None:
        if int(database.value("SELECT COUNT(*) FROM des_archive_slice")) >= wanted:
            return
        time.sleep(0.02)
