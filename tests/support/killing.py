"""Migrations killed with -9 again and again, in a process of their own, until they are through.

`python -m support.killing` reads a job from stdin: settings, directions, and after how many
statements the first try is killed. Each try lives a little longer than the one before.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from support.database import TestDatabase

ROOT = Path(__file__).resolve().parents[2]
LOCKED = 11
MOST_TRIES = 400


def migrate_with_kills(
    database: TestDatabase,
    direction: str,
    *,
    config: TestDatabase | None = None,
    drop_archived: bool = False,
    grow: int = 3,
) -> int:
    """Run `up` or `down`, killed before its 1st, 1 + `grow`th … statement; how often it was."""
    job = {
        "url": database.url,
        "config_url": None if config is None else config.url,
        "direction": direction,
        "drop_archived": drop_archived,
        "grow": grow,
    }
    done = subprocess.run(
        [sys.executable, "-m", "support.killing"],
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
    kills, after = 0, 1
    for _ in range(MOST_TRIES):
        child = os.fork()
        if child == 0:
            _live_until(job, after)
        _pid, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            print(kills)
            return
        if code == -signal.SIGKILL:
            kills, after = kills + 1, after + job["grow"]
        elif code != LOCKED:  # the server may take a moment to see that the holder is gone
            sys.exit(f"after {kills} kills: exit code {code}")
    sys.exit(f"not through after {MOST_TRIES} tries")


def _live_until(job: dict[str, Any], statements: int) -> NoReturn:
    """One try, in the child: it dies before statement number `statements`."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from des_core.config import DatabaseSettings, PackerSettings, Settings, WatermarkSettings
    from des_core.errors import LockHeld
    from des_core.migration.apply import downgrade, upgrade
    from des_core.migration.run import MigrationOptions

    seen = 0

    def count(*_arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen >= statements:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(
        database=DatabaseSettings(url=job["url"]),
        packer=PackerSettings(output_dir="/nowhere"),
        watermark=WatermarkSettings(config_db_url=job["config_url"]),
    )
    options = MigrationOptions(drop_archived=job["drop_archived"], backup="dump")
    event.listen(Engine, "before_cursor_execute", count)
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
