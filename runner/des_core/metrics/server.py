"""The HTTP endpoint: metrics at one path, health beside it, TLS and a password where wanted."""

from __future__ import annotations

import base64
import hmac
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import make_wsgi_app, start_http_server
from prometheus_client.registry import Collector

from des_core.basics.errors import ConfigError, UsageError
from des_core.process.logs import get_logger
from des_core.settings.config import MetricsSettings

CLIENT_TIMEOUT_S = 30.0
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Health:
    """Whether the process lives, and whether it can serve; each says what is wrong, or None."""

    live: Callable[[], str | None] = lambda: None
    ready: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Endpoint:
    """Where it is served: the port is the real one also where the configuration said 0."""

    host: str
    port: int
    path: str
    scheme: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@contextmanager
def serve(
    registry: Collector, settings: MetricsSettings, health: Health | None = None
) -> Iterator[Endpoint]:
    """Serve while the block lasts. A client that says nothing holds up neither others nor the end.

    UsageError where the port is taken, ConfigError where certificate or key cannot be used.
    """
    server, thread = _start(registry, settings)
    _be_patient_with_nobody(server)
    app = make_wsgi_app(registry)
    server.set_app(_routed(app, settings, health or Health()))
    scheme = "http" if settings.tls_cert_file is None else "https"
    try:
        yield Endpoint(settings.host, int(server.server_port), settings.path, scheme)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _start(registry: Collector, settings: MetricsSettings) -> Any:
    _check_certificates(settings)
    try:
        return start_http_server(
            settings.port,
            settings.host,
            registry,
            certfile=settings.tls_cert_file,
            keyfile=settings.tls_key_file,
            client_cafile=settings.tls_client_ca_file,
            client_auth_required=settings.tls_client_ca_file is not None,
        )
    except OSError as exc:
        raise UsageError(
            f"the metrics endpoint cannot be opened: {exc.strerror or exc}",
            hint="choose another metrics.port or metrics.host",
            host=settings.host,
            port=settings.port,
        ) from exc


def _be_patient_with_nobody(server: Any) -> None:
    """Let each client's own thread shake hands, and give it up after `CLIENT_TIMEOUT_S`.

    The library shakes hands in the thread that accepts: there one client which never begins would
    hold up every scrape, and the shutdown.
    """
    if isinstance(server.socket, ssl.SSLSocket):
        server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
    handler = server.RequestHandlerClass
    server.RequestHandlerClass = type(handler.__name__, (handler,), {"timeout": CLIENT_TIMEOUT_S})
    log = get_logger("metrics")

    def handle_error(_request: object, client: object) -> None:
        log.debug("scrape_failed", client=str(client), error=repr(sys.exception()))

    server.handle_error = handle_error


def _check_certificates(settings: MetricsSettings) -> None:
    """Before the library binds the port, which it would leave open after a failure."""
    if settings.tls_cert_file is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
        if settings.tls_client_ca_file is not None:
            context.load_verify_locations(settings.tls_client_ca_file)
    except OSError as exc:  # SSLError is one
        raise ConfigError(
            f"the certificate of the metrics endpoint cannot be used: {exc.strerror or exc}",
            hint="see metrics.tls_cert_file, tls_key_file and tls_client_ca_file",
            certificate=settings.tls_cert_file,
            key=settings.tls_key_file,
        ) from exc


def _routed(metrics: WsgiApp, settings: MetricsSettings, health: Health) -> WsgiApp:
    credentials = _credentials(settings)
    probes = {"/healthz": health.live, "/readyz": health.ready}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in probes and path != settings.path:
            return _answer_probe(probes[path], start_response)
        if path != settings.path:
            return _answer(start_response, "404 Not Found", f"try {settings.path}")
        if credentials is not None and not _is_allowed(environ, credentials):
            challenge = ("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')
            return _answer(start_response, "401 Unauthorized", "a password is wanted", challenge)
        return metrics(environ, start_response)

    return app


def _answer_probe(
    probe: Callable[[], str | None], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    problem = probe()
    if problem is None:
        return _answer(start_response, "200 OK", "ok")
    return _answer(start_response, "503 Service Unavailable", problem)


def _answer(
    start_response: Callable[..., Any], status: str, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{text}\n".encode()]


def _credentials(settings: MetricsSettings) -> bytes | None:
    if settings.username is None or settings.password is None:
        return None
    pair = f"{settings.username}:{settings.password.get_secret_value()}"
    return b"Basic " + base64.b64encode(pair.encode())


def _is_allowed(environ: dict[str, Any], credentials: bytes) -> bool:
    given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
    return hmac.compare_digest(given, credentials)
