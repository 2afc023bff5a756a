"""The second client of S3, for the two things that the first cannot ask (docs/adr/0014).

Objects whose keys are no paths: the first client takes a key for a path and normalises it, so it
would ask for another object, or refuses. And multipart uploads that nobody completed: the first
client cannot list them. Everything else is the first client's.
"""

from __future__ import annotations

import threading
from typing import Any

from des_core.basics.object_config import ObjectStoreConfig

# The first client goes by these, in this order; this one knows only the second by itself.
_REGION = {"region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)}


class S3Client:
    """Requests about one bucket. It connects when first asked, and is safe to use from threads."""

    def __init__(self, bucket: str, config: ObjectStoreConfig) -> None:
        self._bucket = bucket
        self._config = config
        self._client: Any = None
        self._guard = threading.Lock()

    def ask(self, operation: str, **arguments: str) -> dict[str, Any]:
        """One request, tried once: whoever asks tries again. Errors are botocore's."""
        answer: dict[str, Any] = getattr(self._connected(), operation)(
            Bucket=self._bucket, **arguments
        )
        return answer

    def _connected(self) -> Any:
        with self._guard:
            if self._client is None:
                self._client = _connect(self._config)
            return self._client


def _connect(config: ObjectStoreConfig) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    return Session(session_vars=_REGION).create_client(
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
