"""Static workers of a test: settings for each, and what must hold between them at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from des_core.settings.config import Settings
from support.crash.truth import as_utc
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle


def as_worker(settings: Settings, shard_id: int, shards_total: int) -> Settings:
    """The same settings for one static worker."""
    database = settings.database.model_copy(
        update={"shard_id": shard_id, "shards_total": shards_total}
    )
    return settings.model_copy(update={"database": database})


def elsewhere(settings: Settings, output_dir: Path, database: TestDatabase) -> Settings:
    """The same settings for another output directory and a source of its own."""
    output_dir.mkdir(parents=True, exist_ok=True)
    tree = settings.model_dump(by_alias=True)
    tree["database"]["url"] = database.url
    tree["packer"]["output_dir"] = str(output_dir)
    return Settings.model_validate(tree)


def run_worker(settings: Settings, shard_id: int, shards_total: int, **options: Any) -> CycleReport:
    """One cycle of one static worker."""
    with open_archive(as_worker(settings, shard_id, shards_total)) as archive:
        return run_cycle(archive, **options)


def run_alone(settings: Settings) -> CycleReport:
    """One cycle of a runner that owns all buckets."""
    with open_archive(settings) as archive:
        return run_cycle(archive)


def check_workers(config: TestDatabase, shards_total: int) -> None:
    """One layout, complete, and the watermark at its slowest worker, in one statement."""
    rows = config.rows(
        "SELECT workers_total, COUNT(*), MIN(packed_until),"
        " (SELECT archived_until FROM des_archive_config WHERE id = 1)"
        " FROM des_archive_worker GROUP BY workers_total"
    )
    assert len(rows) == 1
    total, count, slowest, watermark = rows[0]
    assert (total, count) == (shards_total, shards_total)
    assert as_utc(slowest) == as_utc(watermark)


def shards_only(files: dict[str, str]) -> dict[str, str]:
    """Shards and big files: each worker writes manifests of its own."""
    return {name: digest for name, digest in files.items() if not name.startswith("_manifests")}
