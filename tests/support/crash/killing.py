"""Migrations killed with -9 again and again, in a process of their own, until they are through.

`python -m support.crash.killing` reads a job from stdin: settings, direction, its chance's seed.
Each try lives a random number of statements longer than the one before, and dies just before its
last one, just after it, or somewhere in the milliseconds that follow.
"""

import json
import os
import pkgutil
import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from des_core import migration
from des_core.basics.errors import LockHeld
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.migration.flags import writing as flags
from des_core.settings.config import (
    DatabaseSettings,
    PackerSettings,
    Settings,
    WatermarkSettings,
)
from support.servers.database import TestDatabase

ROOT = Path(__file__).resolve().parents[3]
LOCKED = 11
MOST_TRIES = 400


def migrate_with_kills(
    database: TestDatabase,
    direction: str,
    *,
    config: TestDatabase | None = None,
    drop_archived: bool = False,
    grow: int = 3,
    seed: int = 0,
) -> int:
    """Run `up` or `down`, killed about every `grow`th statement; how often it was.

    Where more than one session may write, every second seed has flags written in two.
    """
    job = {
        "url": database.url,
        "config_url": None if config is None else config.url,
        "direction": direction,
        "drop_archived": drop_archived,
        "sessions": 1 if database.kind == "sqlite" else 1 + seed % 2,
        "grow": grow,
        "seed": seed,
    }
    done = subprocess.run(
        [sys.executable, "-m", "support.crash.killing"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/runner:{ROOT}/tests"},
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    job = json.load(sys.stdin)
    _import_all(url for url in (job["url"], job["config_url"]) if url is not None)
    chance = random.Random(job["seed"])
    kills, after = 0, 1
    for _ in range(MOST_TRIES):
        moment = chance.choice(["before", "after", "within"])
        delay_s = chance.uniform(0.0001, 0.01)
        child = os.fork()
        if child == 0:
            _live_until(job, after, moment, delay_s)
        _pid, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            print(kills)
            return
        if code in (-signal.SIGKILL, -signal.SIGALRM):
            kills, after = kills + 1, after + chance.randint(1, 2 * job["grow"] - 1)
        elif code != LOCKED:  # the server may take a moment to see that the holder is gone
            sys.exit(f"after {kills} kills: exit code {code}")
    sys.exit(f"not through after {MOST_TRIES} tries")


def _import_all(urls: Iterable[str]) -> None:
    """Before the first child, or each would take the second that Python takes to import."""
    for module in pkgutil.walk_packages(migration.__path__, f"{migration.__name__}."):
        import_module(module.name)
    for url in urls:
        sa.create_engine(url)  # with its driver; nothing is connected, so that it can be forked


def _live_until(job: dict[str, Any], statements: int, moment: str, delay_s: float) -> NoReturn:
    """One try, in the child: it dies at statement number `statements`.

    `within`: the kernel ends it after `delay_s`, wherever it is by then; as abruptly as -9 does.
    """
    flags.FIRST_CHUNK_ROWS = 10
    seen, is_timed = 0, False

    def before(*_arguments: Any) -> None:
        nonlocal seen, is_timed
        seen += 1
        if seen < statements:
            return
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        elif moment == "within" and not is_timed:
            is_timed = True
            signal.setitimer(signal.ITIMER_REAL, delay_s)

    def after(*_arguments: Any) -> None:
        if seen >= statements and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(
        database=DatabaseSettings(url=job["url"]),
        packer=PackerSettings(output_dir="/nowhere"),
        watermark=WatermarkSettings(config_db_url=job["config_url"]),
    )
    options = MigrationOptions(
        drop_archived=job["drop_archived"], backup="dump", sessions=job["sessions"]
    )
    sa.event.listen(Engine, "before_cursor_execute", before)
    sa.event.listen(Engine, "after_cursor_execute", after)
    try:
        (upgrade if job["direction"] == "up" else downgrade)(settings, options=options)
    except LockHeld:
        os._exit(LOCKED)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
