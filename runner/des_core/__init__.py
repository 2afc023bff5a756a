"""The domain of the DES archive: watermark, ledger, shards. No CLI, no printing, no environment."""

__version__ = "1.0.0"
