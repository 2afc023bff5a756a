"""The program as its own process, for tests outside tests/cli."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# PyMySQL reads the system's authorities for each connection, 17 ms long, and asks none of them;
# here there is one, for nobody. (With none at all no object store can be opened.)
ONE_AUTHORITY = {"SSL_CERT_FILE": str(Path(__file__).with_name("authority.pem"))}


@dataclass(frozen=True, slots=True)
class Done:
    """One run of the program."""

    code: int
    out: str
    err: str


def program_command(*arguments: str, module: str = "des_admin") -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def program_env(home: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """A plain environment, in which the checkout is importable and nothing else is set."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT / 'runner'}:{ROOT}",
        "LC_ALL": "C.UTF-8",
        **ONE_AUTHORITY,
        **(env or {}),
    }


def run_program(
    *arguments: str, cwd: Path, module: str = "des_admin", env: Mapping[str, str] | None = None
) -> Done:
    """`python -m MODULE arguments…`, without a terminal."""
    done = subprocess.run(
        program_command(*arguments, module=module),
        cwd=cwd,
        env=program_env(cwd, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
