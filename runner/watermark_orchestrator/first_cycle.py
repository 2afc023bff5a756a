"""Before the first cycle: the last moment at which `n_bits` can still be chosen."""

from __future__ import annotations

from des_core.basics.errors import Refused
from des_core.ledger.slices import is_begun
from des_core.ledger.watermark import read_watermark
from des_core.packing.forecast import ShardForecast, forecast_shards
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.cycle import current_target


def forecast_first(archive: Archive) -> ShardForecast | None:
    """What the shards of a first cycle would be like; None where one was packed already."""
    if is_begun(archive.config):
        return None
    with archive.config.read() as tx:
        watermark = read_watermark(tx)
    window = current_target(archive, watermark.archived_until, watermark.lag_days).window
    return forecast_shards(archive.source, archive.packer_config.n_bits, window.end)


def require_shape(archive: Archive) -> None:
    """Refused where shards would hold few files and fewer buckets would help."""
    forecast = forecast_first(archive)
    if forecast is None or forecast.advice is None:
        return
    raise Refused(
        f"the shards of this archive would hold few files: {forecast.describe()}",
        hint=f"{forecast.advice}, for nobody can "
        "change it later; or keep it: write packer.n_bits into the configuration, or run --yes",
        n_bits=forecast.n_bits,
        advised=forecast.advised_bits,
    )
