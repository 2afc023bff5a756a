"""What a running cycle tells, as a scrape sees it."""

import base64
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from des_core.basics.errors import ConfigError, ExitCode, LockHeld, Refused, Terminated, UsageError
from des_core.ledger.slices import SliceRecord
from des_core.metrics import RunnerMetrics, observe_cycle
from des_core.metrics.definitions import (
    CAUSES,
    METRICS,
    STATUSES,
    cause_of,
    cycle_status,
)
from des_core.metrics.leave_behind import leave_behind
from des_core.metrics.runner import PrometheusMetrics
from des_core.metrics.server import Health, serve
from des_core.settings.config import MetricsSettings

MONDAY = datetime(2024, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)
ANY_PORT = MetricsSettings(port=0)


def slice_record(**changes: object) -> SliceRecord:
    record = SliceRecord(
        run_id="0" * 32,
        kind="window",
        window_start=MONDAY,
        window_end=MONDAY + DAY,
        files_in=12,
        files_out=10,
        files_failed=2,
        files_present=0,
        bytes_in=1000,
        bytes_out=400,
        started_at=MONDAY + 9 * DAY,
        finished_at=MONDAY + 9 * DAY + timedelta(seconds=30),
        versions="{}",
    )
    return replace(record, **changes)


class Watches:
    """A wall clock and a stopwatch that tests set."""

    def __init__(self) -> None:
        self.now = (MONDAY + 9 * DAY).timestamp()

    def read(self) -> float:
        return self.now


@pytest.fixture
def watches() -> Watches:
    return Watches()


@pytest.fixture
def metrics(watches: Watches) -> PrometheusMetrics:
    return PrometheusMetrics(wall_clock=watches.read, stopwatch=watches.read)


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name}{labels} is not served"
    return found


def test_every_runner_metric_is_there_before_anything_happened(metrics: PrometheusMetrics) -> None:
    text = generate_latest(metrics.registry).decode()
    served = {
        sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert served == {metric.name for metric in METRICS.values() if metric.runner}
    for status in STATUSES:
        assert value(metrics, "des_migration_cycles_total", status=status) == 0


def test_a_cycle_tells_its_story(metrics: PrometheusMetrics, watches: Watches) -> None:
    target = MONDAY + 3 * DAY
    metrics.cycle_started(watermark=MONDAY, target=target, lag_days=7)
    assert value(metrics, "des_migration_cycle_running") == 1
    assert value(metrics, "des_watermark_lag_days") == 7
    assert value(metrics, "des_watermark_lag_seconds") == 3 * 86_400
    assert value(metrics, "des_watermark_window_size_seconds") == 3 * 86_400

    watches.now += 60
    metrics.slice_committed(slice_record(), shards=4, watermark=MONDAY + DAY, target=target)
    assert value(metrics, "des_watermark_lag_seconds") == 2 * 86_400
    assert value(metrics, "des_watermark_window_size_seconds") == 3 * 86_400
    assert value(metrics, "des_watermark_timestamp_seconds") == (MONDAY + DAY).timestamp()
    assert value(metrics, "des_migration_files_total") == 10
    assert value(metrics, "des_migration_files_failed_total") == 2
    assert value(metrics, "des_migration_bytes_total") == 1000
    assert value(metrics, "des_migration_shard_bytes_total") == 400
    assert value(metrics, "des_migration_shards_total") == 4
    assert value(metrics, "des_migration_slice_duration_seconds_sum") == 30

    watches.now += 30
    metrics.cycle_finished(ExitCode.NEW_EXCEPTIONS)
    assert value(metrics, "des_migration_cycle_running") == 0
    assert value(metrics, "des_migration_duration_seconds") == 90
    assert value(metrics, "des_migration_cycles_total", status="new_exceptions") == 1
    assert value(metrics, "des_migration_last_success_timestamp_seconds") == watches.now


def test_a_second_try_is_no_progress_and_fails_no_new_file(metrics: PrometheusMetrics) -> None:
    retried = slice_record(kind="exceptions")
    metrics.slice_committed(retried, shards=1, watermark=MONDAY, target=MONDAY)
    assert value(metrics, "des_migration_last_progress_timestamp_seconds") == 0
    assert value(metrics, "des_migration_files_failed_total") == 0
    assert value(metrics, "des_migration_files_total") == 10


def test_lag_is_never_negative(metrics: PrometheusMetrics) -> None:
    metrics.cycle_started(watermark=MONDAY + DAY, target=MONDAY, lag_days=7)
    assert value(metrics, "des_watermark_lag_seconds") == 0
    assert value(metrics, "des_watermark_window_size_seconds") == 0


def test_failed_cycles_count_up_to_the_next_success(metrics: PrometheusMetrics) -> None:
    for code in (ExitCode.REFUSED, ExitCode.DATABASE_UNREACHABLE, ExitCode.TERMINATED):
        metrics.cycle_finished(code)
    assert value(metrics, "des_migration_failed_cycles") == 2
    metrics.cycle_finished(ExitCode.DONE)
    assert value(metrics, "des_migration_failed_cycles") == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("no"), "refused"),
        (LockHeld("no"), "locked"),
        (Terminated("stop"), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (ZeroDivisionError(), "bug"),
    ],
)
def test_a_cycle_that_raises_is_told_and_raises_on(
    metrics: PrometheusMetrics, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), observe_cycle(metrics):
        raise error
    assert value(metrics, "des_migration_cycles_total", status=status) == 1


def test_a_cycle_nobody_watches_needs_nothing() -> None:
    with observe_cycle(RunnerMetrics()) as observed:
        observed.code = ExitCode.NEW_EXCEPTIONS


def test_names_and_labels_keep_the_house_rules() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("des_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.help.endswith(".")
        assert len(metric.values) <= 10, f"{metric.name} has too many series"
        assert metric.label is None or metric.values or metric.name == "des_build_info"
        assert not metric.name.endswith("_age_seconds") or metric.name.endswith("max_age_seconds")


def test_every_exit_code_and_every_reason_has_a_place() -> None:
    assert {cycle_status(code) for code in ExitCode} == set(STATUSES)
    assert cause_of("duplicate_uid") == "uid"
    assert cause_of("a reason of a later version") == "other" == CAUSES[-1]


# The endpoint --------------------------------------------------------------------------------


def fetch(url: str, authorization: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url)
    if authorization is not None:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def one_scrape(metrics: PrometheusMetrics) -> Iterator[str]:
    with serve(metrics.registry, ANY_PORT) as endpoint:
        yield endpoint.url


def test_metrics_are_served_at_their_path_only(metrics: PrometheusMetrics) -> None:
    settings = MetricsSettings(port=0, path="/des/metrics")
    with serve(metrics.registry, settings) as endpoint:
        root = endpoint.url.removesuffix("/des/metrics")
        status, text = fetch(endpoint.url)
        assert status == 200
        assert "des_watermark_lag_seconds 0.0" in text
        assert fetch(f"{root}/metrics")[0] == 404
        assert fetch(f"{root}/")[0] == 404
        assert fetch(f"{root}/healthz") == (200, "ok\n")
        assert fetch(f"{root}/readyz") == (200, "ok\n")
    with pytest.raises(urllib.error.URLError):
        fetch(endpoint.url)


def test_health_says_what_is_wrong(metrics: PrometheusMetrics) -> None:
    health = Health(ready=lambda: "the database cannot be reached")
    with serve(metrics.registry, ANY_PORT, health) as endpoint:
        root = endpoint.url.removesuffix("/metrics")
        assert fetch(f"{root}/healthz")[0] == 200
        assert fetch(f"{root}/readyz") == (503, "the database cannot be reached\n")


def test_a_password_is_asked_for_where_one_is_set(metrics: PrometheusMetrics) -> None:
    settings = MetricsSettings(port=0, username="prometheus", password="zażółć")
    good = "Basic " + base64.b64encode("prometheus:zażółć".encode()).decode()
    with serve(metrics.registry, settings) as endpoint:
        assert fetch(endpoint.url)[0] == 401
        assert fetch(endpoint.url, "Basic d3Jvbmc6d3Jvbmc=")[0] == 401
        assert fetch(endpoint.url, good)[0] == 200
        assert fetch(endpoint.url.replace("/metrics", "/healthz"))[0] == 200


def test_a_certificate_that_is_not_there_is_an_error_of_the_configuration(
    metrics: PrometheusMetrics, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    settings = MetricsSettings(port=0, tls_cert_file=missing, tls_key_file=missing)
    with pytest.raises(ConfigError, match=r"missing\.pem"), serve(metrics.registry, settings):
        pass


def test_a_port_that_is_taken_is_named(metrics: PrometheusMetrics) -> None:
    with serve(metrics.registry, ANY_PORT) as endpoint:
        taken = MetricsSettings(port=endpoint.port)
        with pytest.raises(UsageError, match=str(endpoint.port)), serve(metrics.registry, taken):
            pass


@pytest.mark.parametrize(
    "keys",
    [
        {"tls_cert_file": "a"},
        {"tls_client_ca_file": "a"},
        {"username": "a"},
        {"password": "a"},
    ],
)
def test_half_a_setting_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"belong together|needs"):
        MetricsSettings(**keys)


# What is left behind -------------------------------------------------------------------------


def test_a_textfile_is_left_for_node_exporter(metrics: PrometheusMetrics, tmp_path: Path) -> None:
    file = tmp_path / "des.prom"
    leave_behind(metrics.registry, MetricsSettings(textfile=str(file)))
    assert "des_migration_files_total 0.0" in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["des.prom"]


def test_what_cannot_be_left_behind_does_not_fail_the_job(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "missing" / "des.prom")
    url = "http://user:secret@127.0.0.1:9/"
    leave_behind(CollectorRegistry(), MetricsSettings(textfile=nowhere, pushgateway_url=url))


@pytest.mark.parametrize(
    "url", ["http://u:canary/ss@host:9", "x" * 70_000, "http://[::1", "", "a b"]
)
def test_what_is_no_url_does_not_fail_the_job(url: str, caplog: pytest.LogCaptureFixture) -> None:
    leave_behind(CollectorRegistry(), MetricsSettings(pushgateway_url=url))
    assert "metrics_not_pushed" in caplog.text
    assert "canary" not in caplog.text


def test_metrics_are_pushed_with_the_password_of_the_url(metrics: PrometheusMetrics) -> None:
    received: list[tuple[str, str, str | None, bytes]] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.command, self.path, self.headers["Authorization"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://pusher:se%40cret@127.0.0.1:{server.server_port}"
        leave_behind(metrics.registry, MetricsSettings(pushgateway_url=url))
        thread.join()
    [(method, path, login, body)] = received
    assert (method, path) == ("PUT", "/metrics/job/des-runner")
    assert login == "Basic " + base64.b64encode(b"pusher:se@cret").decode()
    assert b"des_migration_files_total 0.0" in body
