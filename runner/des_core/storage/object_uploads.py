"""Multipart uploads that stay unfinished: found by listing them, and aborted.

The client of the store aborts what fails, but where the store's very first answer gets lost, only
the store itself knows the upload's id. Its parts would be paid for until a lifecycle rule takes
them away. This is housekeeping: what fails here is logged, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from des_core.basics.object_config import ObjectStoreConfig, is_s3, split_url
from des_core.process.logs import get_logger
from des_core.storage.answers import answer_of, final_error
from des_core.storage.s3_client import S3Client

log = get_logger("uploads")
TRIES = 10
LONGEST_WAIT_S = 5.0


class Upload(NamedTuple):
    """One that nobody completed or aborted yet; `name` is relative to the store's URL."""

    name: str
    key: str
    upload_id: str
    begun_at: datetime


class UnfinishedUploads:
    """Those below one URL. Only S3 lets them be listed; elsewhere there are none to be seen."""

    def __init__(self, url: str, config: ObjectStoreConfig, client: S3Client) -> None:
        self._root, prefix = split_url(url)
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._config = config
        self._client = client

    def abort(self, name: str) -> int:
        """Abort all of that name; how many."""
        return self.abort_where(lambda upload: upload.name == name, name)

    def abort_where(self, is_dead: Callable[[Upload], bool], start: str = "") -> int:
        """Abort those that are dead among all whose name begins with `start`; how many."""
        try:
            return sum(self._abort(upload) for upload in self._list(start) if is_dead(upload))
        except Exception as exc:
            log.warning("uploads_not_listed", place=self._root, reason=str(exc)[:300])
        return 0

    def missing_rights(self) -> list[str]:
        """Which rights the role lacks to list and to abort uploads, tried with one that is not."""
        if not is_s3(self._root):
            return []
        key, missing = f"{self._prefix}.des-admin-probe", []
        tries = {
            "s3:ListBucketMultipartUploads": ("list_multipart_uploads", {"Prefix": key}),
            "s3:AbortMultipartUpload": ("abort_multipart_upload", {"Key": key, "UploadId": "none"}),
        }
        for right, (operation, arguments) in tries.items():
            try:
                self._ask(operation, **arguments)
            except Exception as exc:
                if answer_of(exc).status == HTTPStatus.FORBIDDEN:
                    missing.append(right)
        return missing

    def _list(self, start: str) -> Iterator[Upload]:
        if not is_s3(self._root):
            return
        markers: dict[str, str] = {}
        while True:
            page = self._ask("list_multipart_uploads", Prefix=f"{self._prefix}{start}", **markers)
            for item in page.get("Uploads", []):
                key, begun_at = item["Key"], item["Initiated"].astimezone(UTC)
                yield Upload(key.removeprefix(self._prefix), key, item["UploadId"], begun_at)
            if not page.get("IsTruncated"):
                return
            markers = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }

    def _abort(self, upload: Upload) -> bool:
        try:
            self._ask("abort_multipart_upload", Key=upload.key, UploadId=upload.upload_id)
        except Exception as exc:
            # Asked again after an answer that got lost, the store knows of no such upload.
            if answer_of(exc).status != HTTPStatus.NOT_FOUND:
                raise
        log.info("upload_aborted", key=upload.key, begun_at=str(upload.begun_at))
        return True

    def _ask(self, operation: str, **arguments: str) -> dict[str, Any]:
        """One request; again where the connection or the store fails."""
        tries = Retrying(
            stop=stop_after_attempt(TRIES) | stop_after_delay(self._config.retry_for_s),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT_S),
            retry=retry_if_exception(
                lambda exc: final_error(answer_of(exc), "abort", "", self._root) is None
            ),
            reraise=True,
        )
        return tries(self._client.ask, operation, **arguments)
