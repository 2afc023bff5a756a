"""Two nodes of a Galera cluster: each takes writes; conflicts show at COMMIT, as a deadlock."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from des_core.basics.errors import ExitCode
from des_core.migration.apply import downgrade
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.program.migrating import rows_by_formula
from support.program.runner import start_runner, write_config
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
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


def test_two_runners_on_two_nodes_then_one_alone(
    cluster: GaleraCluster, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    first, second = cluster.nodes
    ended: Counter[int] = Counter()
    for number in range(max(1, rounds // 10)):
        if not second.is_running:
            second.start()
        place = tmp_path / str(number)
        place.mkdir()
        database = database_on(first)
        ended.update(one_round(database, second, files_table, place))
        first.drop_database(database.name)
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
