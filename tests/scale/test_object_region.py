"""Both clients of an object store sign for the same region, whoever named it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from des_core.basics.object_config import ObjectStoreConfig
from des_core.storage.object_store import ObjectStore


class Listener:
    """A store in which nothing lies; it remembers which region each request was signed for."""

    def __init__(self) -> None:
        self.regions: dict[str, str] = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scope = self.headers["Authorization"].partition("Credential=")[2].split("/")
                listener.regions[self.path] = scope[2]
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever)
    thread.start()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("variable", "configured"),
    [("AWS_REGION", None), ("AWS_DEFAULT_REGION", None), ("AWS_REGION", "eu-north-1")],
)
def test_both_clients_sign_for_one_region(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, variable: str, configured: str | None
) -> None:
    monkeypatch.setenv(variable, "eu-west-3")
    config = ObjectStoreConfig(endpoint=listener.url, region=configured, retry_for_s=0.5)
    store = ObjectStore("s3://archive", config)
    for key in ("plain", "odd//key"):
        with pytest.raises(FileNotFoundError):
            store.get(key)
    store.uploads.abort("plain")
    assert len(listener.regions) == 3
    assert set(listener.regions.values()) == {configured or "eu-west-3"}
