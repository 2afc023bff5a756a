"""The units of deploy/systemd for one configuration: directives are replaced, the rest stays."""

from __future__ import annotations

from pathlib import PurePosixPath

from des_admin.deployment.mounts import Kind, Mount, Role, mounts_for
from des_admin.deployment.options import Deployment
from des_core.resources import resource_dir

RUNNER_UNIT = "des-watermark-migration.service"
EXPORTER_UNIT = "des-exporter.service"
TIMER_UNIT = "des-watermark-migration.timer"
LOGROTATE = "des-admin.logrotate"


def render_systemd(deployment: Deployment) -> dict[str, str]:
    """Texts by path below `systemd/`. logrotate is there if there is a log file."""
    root = resource_dir("deploy") / "systemd"
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(root.iterdir())}
    runner = f"python3 -m watermark_orchestrator --config {deployment.config_path} --mode single"
    exporter = (
        f"des-admin --config {deployment.config_path} exporter"
        f" --host 127.0.0.1 --port {deployment.exporter_port}"
    )
    for unit, role, command in (
        (RUNNER_UNIT, Role.RUNNER, runner),
        (EXPORTER_UNIT, Role.EXPORTER, exporter),
    ):
        texts[unit] = _service(texts[unit], deployment, role, command)
    zone = "UTC" if deployment.time_zone == "Etc/UTC" else deployment.time_zone
    ticks = [f"{tick} {zone}" for tick in deployment.schedule.on_calendar]
    texts[TIMER_UNIT] = set_directive(texts[TIMER_UNIT], "OnCalendar", ticks)
    log_file = deployment.settings.logging.file
    if log_file is None:
        del texts[LOGROTATE]
    else:
        texts[LOGROTATE] = texts[LOGROTATE].replace("/var/log/des/*.log", log_file)
    return texts


def set_directive(text: str, key: str, values: list[str]) -> str:
    """All lines `key=…` replaced by these, where the first of them was; none removes them."""
    lines: list[str] = []
    placed = False
    for line in text.splitlines():
        if not line.startswith(f"{key}="):
            lines.append(line)
        elif not placed:
            lines += [f"{key}={value}" for value in values]
            placed = True
    return "\n".join(lines) + "\n"


def _service(text: str, deployment: Deployment, role: Role, command: str) -> str:
    secrets = PurePosixPath(deployment.config_path).parent / "secrets"
    names = [each.variable for each in deployment.credentials]
    names.sort(reverse=True)
    mounts = [each for each in mounts_for(deployment.settings, role) if each.kind != Kind.SECRET]
    for key, values in (
        ("User", [deployment.user]),
        ("Group", [deployment.user]),
        ("ExecStart", [f"{deployment.bin_dir}/{command}"]),
        ("LoadCredential", [f"{name}:{secrets}/{name}" for name in names]),
        ("Environment", [f"{name}_FILE=%d/{name}" for name in names]),
        ("ReadWritePaths", _paths(mounts, read_only=False)),
        ("ReadOnlyPaths", _paths(mounts, read_only=True)),
    ):
        text = set_directive(text, key, values)
    return text


def _paths(mounts: list[Mount], *, read_only: bool) -> list[str]:
    return [each.path for each in mounts if each.read_only == read_only]
