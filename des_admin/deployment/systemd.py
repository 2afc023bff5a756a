"""The units of deploy/systemd for one configuration: directives are replaced, the rest stays."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from des_admin.deployment.mounts import Kind, Mount, Role, mounts_for, object_places
from des_admin.deployment.options import Deployment
from des_core.basics.resources import resource_dir

RUNNER = "des-watermark-migration"
WORKER = "des-watermark-worker@"
RUNNER_UNIT = f"{RUNNER}.service"
EXPORTER_UNIT = "des-exporter.service"
TIMER_UNIT = f"{RUNNER}.timer"
BACKUP_UNIT = "des-backup-check.service"
BACKUP_TIMER = "des-backup-check.timer"
COMPLIANCE_UNIT = "des-compliance-sync.service"
LOGROTATE = "des-admin.logrotate"
OBJECT_STORE_FILE = "object-store.env"  # beside the configuration, for root alone


def render_systemd(deployment: Deployment) -> dict[str, str]:
    """Texts by path below `systemd/`. logrotate is there if there is a log file.

    With sharded workers the runner's units are templates, one instance for each worker.
    """
    root = resource_dir("deploy") / "systemd"
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(root.iterdir())}
    if deployment.settings.backup.dir is None:
        del texts[BACKUP_UNIT], texts[BACKUP_TIMER]
    runner = f"python3 -m watermark_orchestrator --config {deployment.config_path} --mode single"
    program = f"des-admin --config {deployment.config_path}"
    exporter = f"{program} exporter --host 127.0.0.1 --port {deployment.exporter_port}"
    for unit, role, command in (
        (RUNNER_UNIT, Role.RUNNER, runner),
        (EXPORTER_UNIT, Role.EXPORTER, exporter),
        (BACKUP_UNIT, Role.BACKUP, f"{program} backup check"),
        (COMPLIANCE_UNIT, Role.COMPLIANCE, f"{program} compliance sync"),
    ):
        if unit in texts:
            texts[unit] = _service(texts[unit], deployment, role, command)
    zone = "UTC" if deployment.time_zone == "Etc/UTC" else deployment.time_zone
    ticks = [f"{tick} {zone}" for tick in deployment.schedule.on_calendar]
    texts[TIMER_UNIT] = set_directive(texts[TIMER_UNIT], "OnCalendar", ticks)
    log_file = deployment.settings.logging.file
    if log_file is None:
        del texts[LOGROTATE]
    else:
        texts[LOGROTATE] = texts[LOGROTATE].replace("/var/log/des/*.log", _quoted(log_file))
    if (deployment.settings.database.shards_total or 1) > 1:
        return _for_workers(texts)
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


def _for_workers(texts: dict[str, str]) -> dict[str, str]:
    """The runner's units as templates: the name of an instance is the number of its worker."""
    return {
        name.replace(RUNNER, WORKER): text.replace("--mode single", "--mode single --shard-id %i")
        .replace("the DES watermark\n", "the DES watermark, sharded worker %i\n")
        .replace(RUNNER_UNIT, f"'{WORKER}*.service'")
        for name, text in texts.items()
    }


def _service(text: str, deployment: Deployment, role: Role, command: str) -> str:
    directory = PurePosixPath(deployment.config_path).parent
    names = [each.variable for each in deployment.credentials]
    names.sort(reverse=True)
    mounts = [each for each in mounts_for(deployment.settings, role) if each.kind != Kind.SECRET]
    for key, values in (
        ("User", [deployment.user]),
        ("Group", [deployment.user]),
        ("ExecStart", [f"{deployment.bin_dir}/{command}"]),
        ("LoadCredential", [f"{name}:{directory}/secrets/{name}" for name in names]),
        ("Environment", [f"{name}_FILE=%d/{name}" for name in names]),
        ("ReadWritePaths", _paths(mounts, read_only=False)),
        ("ReadOnlyPaths", _paths(mounts, read_only=True)),
        ("RequiresMountsFor", [*_paths(mounts, read_only=False), *_paths(mounts, read_only=True)]),
    ):
        text = set_directive(_with_line(text, key, role), key, values)
    if role is Role.RUNNER and object_places(deployment.settings):
        line = f"EnvironmentFile=-{directory}/{OBJECT_STORE_FILE}"
        text = text.replace("\nUMask=", f"\n{line}\nUMask=")
    return text


def _with_line(text: str, key: str, role: Role) -> str:
    """The text with a place for paths that the kept unit, made for PostgreSQL, has no need of."""
    before = {"ReadWritePaths": "\nProtectSystem=", "ReadOnlyPaths": "\nProtectSystem="}
    if role is not Role.EXPORTER:  # which serves what it read last, also without its mounts
        before["RequiresMountsFor"] = "\n\n[Service]"
    if key not in before or f"\n{key}=" in text:
        return text
    return text.replace(before[key], f"\n{key}={before[key]}", 1)


def _paths(mounts: list[Mount], *, read_only: bool) -> list[str]:
    return [_quoted(each.path).replace("%", "%%") for each in mounts if each.read_only == read_only]


def _quoted(path: str) -> str:
    """As it is, unless a space or a quote would end it."""
    if not re.search(r"[\s'\"\\]", path):
        return path
    return '"' + re.sub(r'(["\\])', r"\\\1", path) + '"'
