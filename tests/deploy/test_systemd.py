"""systemd units: what systemd says of them, and that they follow the configuration."""

import configparser
import subprocess
from pathlib import Path

import pytest

from des_admin.deployment.options import Deployment
from des_admin.deployment.systemd import (
    BACKUP_TIMER,
    BACKUP_UNIT,
    COMPLIANCE_UNIT,
    EXPORTER_UNIT,
    LOGROTATE,
    RUNNER_UNIT,
    TIMER_UNIT,
    WORKER,
    render_systemd,
    set_directive,
)
from support.pages.deployment import (
    DEPLOY,
    GUIDE_CONFIG,
    ODD_CONFIG,
    RICH_CONFIG,
    SQLITE_CONFIG,
    MakeDeployment,
)
from support.pages.tools import require_tool


def directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_units_pass_systemd_analyze_verify(deployment: Deployment, tmp_path: Path) -> None:
    analyze = require_tool("systemd-analyze", in_ci=False)
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in ("python3", "des-admin"):
        (bin_dir / name).symlink_to("/bin/true")
    texts = render_systemd(deployment)
    units = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace("/opt/des-admin/bin", str(bin_dir)))
        if name != LOGROTATE:
            units.append(str(tmp_path / name))
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_kept_is_what_is_rendered_for_the_guides_configuration(
    make: MakeDeployment,
) -> None:
    rendered = render_systemd(make())
    for path in (DEPLOY / "systemd").iterdir():
        if path.name != LOGROTATE and "backup" not in path.name:
            assert rendered[path.name] == path.read_text()
    rendered = render_systemd(make(GUIDE_CONFIG.read_text() + "\nbackup:\n  dir: /backups/des\n"))
    for name in (BACKUP_UNIT, BACKUP_TIMER):
        assert rendered[name] == (DEPLOY / "systemd" / name).read_text()


def test_a_database_file_can_be_written_by_each_unit(make: MakeDeployment) -> None:
    texts = render_systemd(make(SQLITE_CONFIG + "\nbackup:\n  dir: /backups/des\n"))
    for name in (RUNNER_UNIT, EXPORTER_UNIT, BACKUP_UNIT, COMPLIANCE_UNIT):
        found = directives(texts[name])
        assert "/var/lib/app" in found["ReadWritePaths"], name
        mounts = found.get("RequiresMountsFor", [])
        assert ("/var/lib/app" in mounts) == (name != EXPORTER_UNIT), name


def test_units_parse_and_stop_the_runner_gently(make: MakeDeployment) -> None:
    runner = render_systemd(make())[RUNNER_UNIT]
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(runner)
    service = parser["Service"]
    assert service["Type"] == "oneshot"
    assert service["KillMode"] == "mixed"
    assert service["SuccessExitStatus"] == "3 143", "new exceptions are no failed unit"
    needed = directives(runner)["RequiresMountsFor"]
    assert needed == ["/mnt/des/output", "/mnt/files"], "an empty mount point is no archive"
    assert int(service["TimeoutStopSec"]) >= 120
    assert "Restart" not in service, "the timer starts the next cycle"


def test_paths_and_variables_follow_the_configuration(make: MakeDeployment) -> None:
    texts = render_systemd(make(RICH_CONFIG, user="archiver", config_path="/etc/x/c.yaml"))
    runner, exporter = (directives(texts[name]) for name in (f"{WORKER}.service", EXPORTER_UNIT))
    assert runner["User"] == ["archiver"]
    assert set(runner["ReadWritePaths"]) == {
        "/data/des",
        "/srv/a",
        "/srv/b",
        "/var/lib/des",
        "/var/log/des",
        "/var/lib/node_exporter",
    }
    assert "ReadOnlyPaths" not in runner
    assert exporter["ReadOnlyPaths"] == ["/data/des", "/backups/des"]
    assert "DB_PASSWORD:/etc/x/secrets/DB_PASSWORD" in runner["LoadCredential"]
    assert "METRICS_PASSWORD_FILE=%d/METRICS_PASSWORD" in exporter["Environment"]
    assert not any("DB_HOST" in line for line in runner["LoadCredential"]), "it has a default"
    assert "/var/log/des/watermark_migration.log {" in texts[LOGROTATE]


def test_each_static_worker_is_an_instance_of_a_template(make: MakeDeployment) -> None:
    texts = render_systemd(make(RICH_CONFIG))
    assert RUNNER_UNIT not in texts
    assert TIMER_UNIT not in texts
    service, timer = texts[f"{WORKER}.service"], texts[f"{WORKER}.timer"]
    assert directives(service)["ExecStart"][0].endswith(" --mode single --shard-id %i")
    assert "Unit" not in directives(timer), "an instance of the timer starts its namesake"
    assert f"main '{WORKER}*.service'" in texts[LOGROTATE]


def test_paths_that_would_end_early_are_quoted(make: MakeDeployment) -> None:
    texts = render_systemd(make(ODD_CONFIG))
    runner = directives(texts[RUNNER_UNIT])
    assert runner["ReadWritePaths"] == ['"/data/des archive"', '"/data/app x"']
    assert runner["ReadOnlyPaths"] == ["/srv/żółć", r'"/srv/\"quoted\"\\100%%"']
    assert '\n"/data/des archive/logs/run.log" {\n' in texts[LOGROTATE]


def test_without_a_log_file_there_is_nothing_to_rotate(make: MakeDeployment) -> None:
    texts = render_systemd(make(SQLITE_CONFIG))
    assert LOGROTATE not in texts
    assert "LoadCredential" not in directives(texts[RUNNER_UNIT])


def test_the_timer_follows_the_schedule(make: MakeDeployment) -> None:
    deployment = make(schedule="0 0 1 * mon", time_zone="Europe/Warsaw")
    assert directives(render_systemd(deployment)[TIMER_UNIT])["OnCalendar"] == [
        "*-*-01 00:00:00 Europe/Warsaw",
        "Mon *-*-* 00:00:00 Europe/Warsaw",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["1"], "a=0\nk=1\nb=2\n"), (["1", "2"], "a=0\nk=1\nk=2\nb=2\n"), ([], "a=0\nb=2\n")],
)
def test_directives_are_replaced_where_they_stood(values: list[str], expected: str) -> None:
    assert set_directive("a=0\nk=x\nb=2\nk=y\n", "k", values) == expected
