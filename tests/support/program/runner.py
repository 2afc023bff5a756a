"""The runner as a scheduler starts it: a process of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import yaml

from des_core.settings.config import Settings

ROOT = Path(__file__).parents[3]
_SMALL_PIPE = 4096


def environment() -> dict[str, str]:
    """The environment of a process that runs this checkout."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'runner'}{os.pathsep}{ROOT}"}


def write_config(settings: Settings, path: Path) -> Path:
    """The settings as a configuration file; secrets included."""
    tree = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    tree["database"]["url"] = settings.source_url
    if settings.watermark.config_db_url is not None:
        tree["watermark"]["config_db_url"] = settings.config_url
    path.write_text(yaml.safe_dump(tree))
    return path


def start_runner(
    config: Path, *arguments: str, waits_for_readers: bool = False
) -> subprocess.Popen[str]:
    """`python -m watermark_orchestrator`, its output in pipes.

    `waits_for_readers`: it says more than its pipe holds, and goes on as it is read; so it does
    not come to its end while the test that looks on is held up.
    """
    flags = (*arguments, "--verbose") if waits_for_readers else arguments
    process = subprocess.Popen(
        [sys.executable, "-m", "watermark_orchestrator", "--config", str(config), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    if waits_for_readers:
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
    return process


def run_runner(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    with start_runner(config, *arguments) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
