"""A bucket on loopback: moto's S3 server in a thread, filled and looked at without requests."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

BUCKET = "archive"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ObjectServer:
    """The server and its only bucket. Keys are given whole, prefix and all."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    @property
    def _backend(self) -> Any:
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def clear(self) -> None:
        """An empty bucket."""
        self._backend.reset()
        self._backend.create_bucket(BUCKET, "us-east-1")

    def put(self, key: str, content: bytes) -> str:
        """Write an object without a request; its URL."""
        self._backend.put_object(BUCKET, key, content)
        return f"s3://{BUCKET}/{key}"

    def remove(self, key: str) -> None:
        """Lose an object without a request."""
        self._backend.delete_object(BUCKET, key)

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Key → content of all objects below a prefix, without a request."""
        keys = self._backend.get_bucket(BUCKET).keys
        return {name: key.value for name, key in keys.items() if name.startswith(prefix)}

    def unfinished_uploads(self) -> list[str]:
        """Keys of multipart uploads that nobody completed or aborted."""
        uploads = self._backend.get_bucket(BUCKET).multiparts
        return [upload.key_name for upload in uploads.values()]


@contextlib.contextmanager
def running_server() -> Iterator[ObjectServer]:
    """Start the server; the environment has credentials for it meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with environment(CREDENTIALS):
            yield ObjectServer(server)
    finally:
        server.stop()


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables, for as long as the block lasts."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in values.items():
        patch.setenv(name, value)
    try:
        yield
    finally:
        patch.undo()
