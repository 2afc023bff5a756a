"""Log lines: their forms, what they carry, how their file rotates, and no secret in any."""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from des_core.basics.errors import ConfigError
from des_core.process.logs import bind, get_logger, open_logs
from des_core.process.secrets import Redactor, secrets_of
from des_core.settings.config import DatabaseSettings, LoggingSettings, MetricsSettings

CANARY = "kan@rek/ż'1\"x"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def settings(file: Path, kind: str = "json") -> LoggingSettings:
    return LoggingSettings(file=str(file), format=kind)


def test_json_lines_carry_run_slice_and_worker(file: Path) -> None:
    with open_logs(settings(file)), bind(run_id="r1", slice="2024-11-26", worker=0):
        get_logger("des_core.x").info("slice_committed", files=10)
    [line] = map(json.loads, lines(file))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "slice_committed",
        "files": 10,
        "level": "info",
        "run_id": "r1",
        "slice": "2024-11-26",
        "worker": 0,
    }


def test_keyvalue_lines_are_logfmt(file: Path) -> None:
    with open_logs(settings(file, "keyvalue")), bind(run_id="r1"):
        get_logger("x").warning("two words", path="/a b", done=True)
    [line] = lines(file)
    assert 'level=warning event="two words" run_id=r1 done=true path="/a b"' in line


def test_text_lines_cannot_be_forged_by_a_file_name(file: Path) -> None:
    with open_logs(settings(file, "text")):
        get_logger("x").info("packed", path="a\n2024 info forged\x1b[31m")
    [line] = lines(file)
    assert r"info     packed  path=a\n2024 info forged\x1b[31m" in line


@pytest.mark.parametrize("kind", ["text", "keyvalue", "json"])
def test_no_form_has_what_a_terminal_obeys(file: Path, kind: str) -> None:
    with open_logs(settings(file, kind)):
        get_logger("x").info(
            "packed", path="/a\x1b[31m\x9b2J\u202e\u2028\x85x", names=["\x1b"], raw=b"\x1b\xff"
        )
    [line] = file.read_text().removesuffix("\n").splitlines()
    assert line.isprintable()


@pytest.mark.parametrize("kind", ["text", "keyvalue", "json"])
def test_every_form_is_one_line_an_event_also_with_a_trace(file: Path, kind: str) -> None:
    with open_logs(settings(file, kind)):
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            get_logger("x").exception("broken")
    [line] = lines(file)
    assert "ValueError" in line


def test_warnings_of_libraries_go_the_same_way(file: Path) -> None:
    with open_logs(settings(file)):
        logging.getLogger("some.library").warning("reset failed: %s", "why")
        logging.getLogger("some.library").info("not wanted")
    [line] = map(json.loads, lines(file))
    assert line["event"] == "reset failed: why"


def test_the_domain_is_silent_until_logs_are_opened(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = get_logger("cycle")
    log.error("nobody listens")
    with open_logs(settings(file)), bind(run_id="r1"):
        log.debug("not wanted")
        log.info("slice_committed", files=10)
    log.error("nobody listens")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    [line] = map(json.loads, lines(file))
    assert (line["event"], line["run_id"], line["files"]) == ("slice_committed", "r1", 10)


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        ({}, ["info", "warning"]),
        ({"verbose": True}, ["debug", "info", "warning"]),
        ({"quiet": True}, ["warning"]),
    ],
)
def test_the_level_follows_the_flags(file: Path, flags: dict, levels: list[str]) -> None:
    with open_logs(settings(file), **flags):
        log = get_logger("x")
        log.debug("a")
        log.info("b")
        log.warning("c")
    assert [json.loads(line)["level"] for line in lines(file)] == levels


def test_sighup_opens_the_file_again(file: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with open_logs(settings(file)):
        log = get_logger("x")
        log.info("before")
        file.rename(file.with_suffix(".1"))
        log.info("still the old file")
        os.kill(os.getpid(), signal.SIGHUP)
        log.info("after")
    assert [json.loads(line)["event"] for line in lines(file)] == ["after"]
    assert len(lines(file.with_suffix(".1"))) == 2
    assert signal.getsignal(signal.SIGHUP) is before


def test_logs_open_outside_the_main_thread_too(file: Path) -> None:
    def work() -> None:
        with open_logs(settings(file)):
            get_logger("x").info("there")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(lines(file)) == 1


def test_the_file_is_not_for_everybody(file: Path) -> None:
    with open_logs(settings(file)):
        pass
    assert file.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_opened_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "run.log"
    with pytest.raises(ConfigError, match=r"run\.log"), open_logs(settings(missing)):
        pass


def test_a_full_disk_sends_lines_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with open_logs(LoggingSettings(file="/dev/full", format="json")):
        get_logger("x").info("not lost")
    assert "not lost" in capsys.readouterr().err


def test_without_a_file_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with open_logs(LoggingSettings()):
        get_logger("x").info("hello")
    captured = capsys.readouterr()
    assert "hello" in captured.err
    assert captured.out == ""


# Secrets ---------------------------------------------------------------------------------------


def database_with(password: str) -> DatabaseSettings:
    from urllib.parse import quote

    return DatabaseSettings(url=f"postgresql://u:{quote(password, safe='')}@h/d")


@pytest.mark.parametrize("kind", ["text", "keyvalue", "json"])
def test_a_secret_is_in_no_line_however_it_got_there(file: Path, kind: str) -> None:
    database = database_with(CANARY)
    url = database.url.get_secret_value()
    with open_logs(settings(file, kind), secrets=secrets_of(database)):
        log = get_logger("x")
        log.info(f"connecting to {url}")
        log.info("facts", url=url, password=CANARY, nested={"deep": [CANARY, url]})
        log.info("bytes", raw=CANARY.encode(), shown=repr(CANARY.encode()))
        logging.getLogger("alembic").error("conninfo password=%s host=h", CANARY)
        try:
            raise ValueError(f"cannot connect with {CANARY!r}")
        except ValueError:
            log.exception("failed", error=CANARY)
    text = file.read_text()
    assert len(lines(file)) == 5
    for form in Redactor([CANARY])._known.pattern.split("|"):
        assert form not in text
    assert "kan@rek" not in text
    assert "kan%40rek" not in text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://u:pw@h/d", "postgresql://u:***@h/d"),
        (
            "two postgresql://u:p@h/d mysql://u:q@h/d",
            "two postgresql://u:***@h/d mysql://u:***@h/d",
        ),
        ("password=abc host=h", "password=*** host=h"),
        ("DB_PASSWORD=abc", "DB_PASSWORD=***"),
        ('{"password": "abc", "a": 1}', '{"password": "***", "a": 1}'),
        ("sslpassword = 'abc'", "sslpassword = '***'"),
        ("https://h/p?token=abc&x=1", "https://h/p?token=***&x=1"),
        ("nothing to hide: a:b", "nothing to hide: a:b"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_what_stands_where_secrets_stand_is_masked(text: str, clean: str) -> None:
    assert Redactor().clean(text) == clean


def test_secrets_are_found_in_urls_and_beside_them() -> None:
    metrics = MetricsSettings(username="u", password="canary-1", pushgateway_url="http://a:can2@h/")
    assert secrets_of(metrics) == {"canary-1", "can2"}
    with_option = DatabaseSettings(url="postgresql://u@h/d?sslpassword=canary3&sslmode=require")
    assert secrets_of(with_option) == {"canary3"}


def test_a_redactor_of_many_secrets_masks_the_longest(file: Path) -> None:
    clean: Callable[[str], str] = Redactor(["abcd", "abcdef"]).clean
    assert clean("abcdef abcd") == "*** ***"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "pass",
        "a://b:",
        "a://",
        "@",
        "password ",
        "password=",
        "'",
        "://",
        "a://b:c@",
        "-a",
        ".",
    ],
)
def test_masking_takes_time_in_proportion_to_the_text(unit: str) -> None:
    """A row of a file's name must not stop the process: 10 MB in seconds, however it repeats."""
    text = unit * (10_000_000 // len(unit))
    began = time.process_time()
    Redactor(["sekrit"]).clean(text)
    assert time.process_time() - began < 10


def test_values_of_a_log_are_bounded() -> None:
    value: object = "x" * 100_000
    for _ in range(50_000):
        value = [value]
    redactor = Redactor()
    assert len(str(redactor.clean_value(value))) < 100
    assert len(redactor.clean_value("x" * 100_000)) < 5000
