"""Objects of S3 whose keys the first client cannot say: `a//b`, `/a`, `a/`, `.`, control codes.

Here the key goes to the store as it is. Reading only: our own objects have plain names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from des_core.storage.s3_client import S3Client


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer of which the content has not been read yet."""

    meta: dict[str, Any]
    bytes: Callable[[], bytes]


def is_plain(key: str) -> bool:
    """Whether the first client asks for this key and no other."""
    parts = key.split("/")
    return all(part not in ("", ".", "..") for part in parts) and not any(
        char < " " or "\x7f" <= char < "\xa0" for char in key
    )


class AnyKeys:
    """Reads objects of one bucket. Safe to use from many threads."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def open(self, key: str, options: Mapping[str, Any]) -> Opened:
        """As the other client's `get`: with a range, and only if the etag is still the same."""
        given: dict[str, str] = {}
        wanted = options.get("range")
        if isinstance(wanted, tuple):
            given["Range"] = f"bytes={wanted[0]}-{wanted[1] - 1}"
        elif wanted is not None:
            given["Range"] = f"bytes=-{wanted['suffix']}"
        if "if_match" in options:
            given["IfMatch"] = options["if_match"]
        answer = self._client.ask("get_object", Key=key, **given)
        return Opened(_meta(key, answer), answer["Body"].read)

    def head(self, key: str) -> dict[str, Any]:
        """Size and etag."""
        return _meta(key, self._client.ask("head_object", Key=key))


def _meta(key: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    whole = answer.get("ContentRange", "").rpartition("/")[2]
    return {
        "path": key,
        "size": int(whole) if whole else answer["ContentLength"],
        "e_tag": answer.get("ETag"),
        "last_modified": answer["LastModified"].astimezone(UTC),
    }
