"""The head of the trail as metrics: what Prometheus keeps finds a trail that was cut or forged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from des_core.database.connections import Database, open_database
from des_core.ledger.events import ChainCheck, Head, check_chain, parse_head, record_event
from des_core.metrics.exporter import Exporter
from des_core.migration.apply import upgrade
from des_core.settings.config import DatabaseSettings, PackerSettings, Settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

NAMES = ("des_trail_newest_event", "des_trail_head_high", "des_trail_head_low")


@pytest.fixture
def settings(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Settings:
    database = make_database("sqlite")
    files_table(database, 20, days=2, archived_days=1, files=False)
    made = Settings(
        database=DatabaseSettings(url=database.url), packer=PackerSettings(output_dir=str(tmp_path))
    )
    upgrade(made)
    return made


@pytest.fixture
def config(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.config_url)
    for number in range(20):
        with opened.write() as tx:
            record_event(tx, action="watermark.lag", actor=f"{number}", now=datetime.now(UTC))
    yield opened
    opened.close()


@pytest.fixture
def exporter(settings: Settings) -> Iterator[Exporter]:
    made = Exporter(settings)
    yield made
    made.close()


def scraped(exporter: Exporter) -> Head:
    """As docs/metrics.md says: printf '%d:%013x%013x' of what a scrape holds."""
    assert exporter.read_once() is None
    text = generate_latest(exporter.registry).decode()
    lines = dict(line.split(" ") for line in text.splitlines() if line.startswith(NAMES))
    assert lines.keys() == set(NAMES), "without any label"
    number, high, low = (int(float(lines[name])) for name in NAMES)
    return parse_head(f"{number}:{high:013x}{low:013x}", "Prometheus")


def checked(config: Database, head: Head) -> ChainCheck:
    with config.read() as tx:
        return check_chain(tx, [head])


def test_a_scrape_holds_the_head_and_the_check_takes_it(
    exporter: Exporter, config: Database
) -> None:
    head = scraped(exporter)
    with config.read() as tx:
        newest = tx.run("event_last").one()
    assert (head.event_id, head.hash) == (newest.event_id, newest.hash[:26])
    assert checked(config, head).broken_at is None


def test_a_trail_that_was_cut_is_found_by_an_earlier_scrape(
    exporter: Exporter, config: Database, settings: Settings
) -> None:
    head = scraped(exporter)
    with config.write() as tx:
        tx.connection.exec_driver_sql(
            f"DELETE FROM des_archive_event WHERE event_id > {head.event_id - 3}"
        )
    assert checked(config, head).problem == "it is missing, and Prometheus knows it"
    assert scraped(exporter).event_id == head.event_id - 3, "the number went down"
    for number in range(3):
        with config.write() as tx:
            record_event(tx, action="watermark.lag", actor=f"f{number}", now=datetime.now(UTC))
    found = checked(config, head)
    assert found.broken_at == head.event_id
    assert "not the event that Prometheus knows" in str(found.problem)


@pytest.mark.parametrize("digest", ["", "z" * 64, "f" * 64, "0x" + "1" * 62])
def test_what_is_no_hash_stops_no_scrape(exporter: Exporter, config: Database, digest: str) -> None:
    head = scraped(exporter)
    with config.write() as tx:
        tx.connection.exec_driver_sql(
            "UPDATE des_archive_event SET hash = ? WHERE event_id = ?", (digest, head.event_id)
        )
    assert exporter.read_once() is None
    assert exporter.current().get("des_trail_head_high") in (-1, 2**52 - 1)
    assert checked(config, head).broken_at == head.event_id


def test_a_kept_head_that_is_too_short_proves_nothing(config: Database) -> None:
    with config.read() as tx:
        newest = tx.run("event_last").one()
        for digits in (0, 1, 25):
            short = Head(newest.event_id, newest.hash[:digits], "a slice")
            assert check_chain(tx, [short]).broken_at == newest.event_id
