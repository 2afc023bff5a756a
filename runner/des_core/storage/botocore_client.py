"""The client of S3 for what the usual one cannot do: listing uploads, and keys of any form."""

from __future__ import annotations

from typing import Any

from des_core.basics.object_config import ObjectStoreConfig


def connect_botocore(config: ObjectStoreConfig) -> Any:
    """It tries each request once: whoever asks tries again. `ImportError` without the extra."""
    from boto3.session import Session
    from botocore.config import Config

    return Session().client(
        "s3",
        endpoint_url=config.endpoint,
        region_name=config.region,
        config=Config(
            connect_timeout=config.timeout_s,
            read_timeout=config.timeout_s,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "virtual" if config.virtual_hosted else "path"},
        ),
    )
