"""The endpoint with TLS: who is let in, and that nobody holds it up by saying nothing."""

import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from des_core.metrics import server as server_module
from des_core.metrics.server import Endpoint, serve
from des_core.settings.config import MetricsSettings
from support.pages.tools import require_tool


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("something", "Any metric.", registry=registry)
    return registry


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`server.pem` and `client.pem`, each with its key, each its own authority."""
    found = tmp_path_factory.mktemp("tls")
    for name in ("server", "client"):
        command = [require_tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
        command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(found / f"{name}.key"), "-out", str(found / f"{name}.pem")]
        subprocess.run(command, check=True, capture_output=True)
    return found


def tls_settings(directory: Path, *, client_ca: bool = False) -> MetricsSettings:
    return MetricsSettings(
        port=0,
        tls_cert_file=str(directory / "server.pem"),
        tls_key_file=str(directory / "server.key"),
        tls_client_ca_file=str(directory / "client.pem") if client_ca else None,
    )


def scrape(endpoint: Endpoint, directory: Path, *, as_client: bool = False) -> str:
    context = ssl.create_default_context(cafile=str(directory / "server.pem"))
    if as_client:
        context.load_cert_chain(directory / "client.pem", directory / "client.key")
    with urllib.request.urlopen(endpoint.url, context=context, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def test_tls_is_served_with_the_certificate_of_the_configuration(
    registry: CollectorRegistry, directory: Path
) -> None:
    with serve(registry, tls_settings(directory)) as endpoint:
        assert endpoint.url.startswith("https://")
        assert "something 0.0" in scrape(endpoint, directory)


def test_clients_need_a_certificate_where_an_authority_is_named(
    registry: CollectorRegistry, directory: Path
) -> None:
    with serve(registry, tls_settings(directory, client_ca=True)) as endpoint:
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            scrape(endpoint, directory)
        assert "something 0.0" in scrape(endpoint, directory, as_client=True)


def test_who_never_shakes_hands_holds_up_neither_scrapes_nor_the_end(
    registry: CollectorRegistry, directory: Path
) -> None:
    with serve(registry, tls_settings(directory)) as endpoint:
        silent = socket.create_connection((endpoint.host, endpoint.port))
        assert "something 0.0" in scrape(endpoint, directory)
    silent.close()


@pytest.mark.parametrize("tls", [False, True])
def test_who_says_nothing_is_given_up_and_who_talks_nonsense_is_no_noise(
    registry: CollectorRegistry,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tls: bool,
) -> None:
    monkeypatch.setattr(server_module, "CLIENT_TIMEOUT_S", 0.2)
    settings = tls_settings(directory) if tls else MetricsSettings(port=0)
    with serve(registry, settings) as endpoint:
        for said in (b"", b"GET"):
            with socket.create_connection((endpoint.host, endpoint.port), timeout=20) as client:
                client.sendall(said)
                assert client.recv(1000) == b"", "the server has hung up"
    assert "Traceback" not in capfd.readouterr().err
