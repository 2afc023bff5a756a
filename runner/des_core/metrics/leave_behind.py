"""Metrics of a job that ends before anybody scrapes it: a textfile, a Pushgateway."""

from __future__ import annotations

from http.client import HTTPException
from urllib.parse import unquote, urlsplit, urlunsplit

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile
from prometheus_client.exposition import basic_auth_handler, default_handler

from des_core.process.logs import get_logger
from des_core.settings.config import MetricsSettings

JOB = "des-runner"
PUSH_TIMEOUT_S = 10.0


def leave_behind(registry: CollectorRegistry, settings: MetricsSettings) -> None:
    """Write the textfile and push, where configured. What fails is logged: the job is done."""
    log = get_logger("metrics")
    if settings.textfile is not None:
        try:
            write_to_textfile(settings.textfile, registry)
        except OSError as exc:
            log.warning("textfile_not_written", file=settings.textfile, error=str(exc))
    if settings.pushgateway_url is not None:
        try:
            _push(registry, settings.pushgateway_url.get_secret_value())
        except OSError as exc:  # URLError and timeouts are of this family
            log.warning("metrics_not_pushed", error=str(exc))
        except (ValueError, HTTPException) as exc:
            # Their messages may quote what stands where a port should be: part of a password.
            log.warning(
                "metrics_not_pushed", error=f"no usable URL or answer: {type(exc).__name__}"
            )


def _push(registry: CollectorRegistry, url: str) -> None:
    parts = urlsplit(url)
    if parts.username is None:
        push_to_gateway(url, JOB, registry, timeout=PUSH_TIMEOUT_S, handler=default_handler)
        return
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    user, password = unquote(parts.username), unquote(parts.password or "")

    def handler(url, method, timeout, headers, data):  # type: ignore[no-untyped-def]
        return basic_auth_handler(url, method, timeout, headers, data, user, password)

    push_to_gateway(bare, JOB, registry, timeout=PUSH_TIMEOUT_S, handler=handler)
