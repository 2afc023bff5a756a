"""How to speak to an object store, and which places are in one. Light: workers import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MIB = 1 << 20
SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")


@dataclass(frozen=True, slots=True)
class ObjectStoreConfig:
    """What cannot be had from the environment, where credentials and region usually are.

    `requests_in_flight` bounds the requests of one worker process. A single request is given up
    after `timeout_s`, and tried again until `retry_for_s` have passed. Up to `single_put_bytes` an
    object is created by one request; above, in parts and by a copy that replaces nothing.
    """

    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False
    virtual_hosted: bool = False
    requests_in_flight: int = 64
    timeout_s: float = 30.0
    retry_for_s: float = 120.0
    single_put_bytes: int = 64 * MIB


class ObjectUrl(NamedTuple):
    """`s3://bucket/some/key` taken apart: root `s3://bucket`, key `some/key`."""

    root: str
    key: str


def is_object_url(place: str | None) -> bool:
    """Whether a location or an output directory is in an object store."""
    return place is not None and "://" in place and place.partition("://")[0].lower() in SCHEMES


def split_url(url: str) -> ObjectUrl:
    """Root and key; no store is asked."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return ObjectUrl(f"{scheme.lower()}://{bucket}", key)


def is_s3(url: str) -> bool:
    """Whether a URL is one of S3, or of a store that speaks like it."""
    return url.startswith(("s3://", "s3a://"))
