"""An archive made ready: settings for the databases of a test, tables created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from des_core.database.connections import open_database
from des_core.ledger.watermark_edits import execute_move, plan_adoption
from des_core.migration.apply import upgrade
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from support.servers.database import TestDatabase


def make_settings(
    source: TestDatabase, output_dir: Path, config: TestDatabase | None = None, **sections: Any
) -> Settings:
    """Settings for these databases; keyword arguments are sections with what differs."""
    output_dir.mkdir(parents=True, exist_ok=True)
    tree: dict[str, dict[str, Any]] = {
        "database": {"url": source.url, "page_size": 500},
        "packer": {
            "output_dir": str(output_dir),
            "n_bits": 4,
            "workers": 1,
            "source_roots": ["/"],
        },
        "watermark": {} if config is None else {"config_db_url": config.url},
    }
    for section, fields in sections.items():
        tree[section] = {**tree.get(section, {}), **fields}
    return Settings.model_validate(tree)


def make_archive(
    source: TestDatabase, output_dir: Path, config: TestDatabase | None = None, **sections: Any
) -> Settings:
    """The same, with the watermark seeded."""
    settings = make_settings(source, output_dir, config, **sections)
    upgrade(settings)
    return settings


def adopt_move(settings: Settings, *, forget: bool = True) -> None:
    """Say that a move of the watermark by SQL was meant, as `watermark adopt` does."""
    config, source = open_database(settings.config_url), open_database(settings.source_url)
    try:
        reader = SourceReader(source, settings.database)
        plan = plan_adoption(config, reader, forget=forget, max_captured=10_000)
        execute_move(config, reader, plan, action="adopt", actor="tests", reason="meant")
    finally:
        config.close()
        source.close()
