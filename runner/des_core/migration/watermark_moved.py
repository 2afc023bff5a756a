"""The watermark is another one than that which a rollback wrote into the column."""

from __future__ import annotations

from des_core.basics.errors import FenceLost


class WatermarkMoved(FenceLost):
    """Somebody moved it by hand meanwhile: what lies between is to be written again."""
