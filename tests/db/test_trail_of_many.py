"""Twenty writers at once: none is refused, and the audit trail is one whole chain."""

import threading
from datetime import UTC, datetime

from des_core.database.connections import open_database
from des_core.database.transaction import Transaction
from des_core.ledger.events import check_chain, record_event
from des_core.migration.apply import upgrade
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

WRITERS = 20


def test_twenty_writers_at_once(
    database: TestDatabase, files_table: FilesTableFactory, is_soak: bool
) -> None:
    # SQLite lets one in by chance, and none may be kept out for the 30 s that it waits.
    each = 50 if is_soak else 20
    files_table(database, 5, days=1, files=False)
    settings = settings_for(database)
    upgrade(settings)
    before = database.value("SELECT COUNT(*) FROM des_archive_event")
    start = threading.Barrier(WRITERS)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        config = open_database(settings.config_url)
        start.wait()
        try:
            for turn in range(each):

                def work(tx: Transaction, turn: int = turn) -> None:
                    record_event(tx, action="test", actor=f"{number}/{turn}", now=datetime.now(UTC))

                config.transact(work)
        except BaseException as error:
            errors.append(error)
        finally:
            config.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    config = open_database(settings.config_url)
    with config.read() as tx:
        check = check_chain(tx)
    config.close()
    assert (check.broken_at, check.events) == (None, before + WRITERS * each)
    actors = {actor for (actor,) in database.rows("SELECT actor FROM des_archive_event")}
    assert {f"{n}/{t}" for n in range(WRITERS) for t in range(each)} <= actors
