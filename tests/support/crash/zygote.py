"""Runners by the thousand: a process that has everything imported, and forks one for each.

A child is a process of its own, as if a scheduler had started it; only the second that Python
takes to import is saved. The zygote has one thread, so forking it is safe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.program.runner import environment

_PROGRAM = """
import importlib, json, os, pkgutil, signal, sys
import des_core, watermark_orchestrator, sqlalchemy, psycopg, pymysql, sqlite3
import sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.mysql.pymysql
import sqlalchemy.dialects.sqlite.pysqlite
for package in (des_core, watermark_orchestrator):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith(("__main__", "bucket")) and "object" not in module.name:
            importlib.import_module(module.name)
from datetime import timedelta
from watermark_orchestrator.__main__ import main

def child(order):
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for name, seconds in order["times"].items():
        module, _, attribute = name.rpartition(".")
        module = importlib.import_module(module)
        kind = type(getattr(module, attribute))
        setattr(module, attribute, timedelta(seconds=seconds) if kind is timedelta else seconds)
    code = 1
    try:
        code = main(order["arguments"])
    except SystemExit as exc:
        code = exc.code
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(order)
    print(pid, flush=True)
"""


@dataclass
class ForkedRunner:
    """One child. `wait` must be called once for each."""

    zygote: Zygote
    pid: int
    log: Path

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        return self.zygote.ask({"wait": self.pid})

    def said(self) -> str:
        return self.log.read_text()


class Zygote:
    """A context manager; children that are still there end with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, *arguments: str, times: dict[str, float] | None = None) -> ForkedRunner:
        """`python -m watermark_orchestrator arguments…`; `times` are constants, in seconds."""
        self._count += 1
        log = self._directory / f"runner-{self._count % 10}.log"
        order = {"arguments": list(arguments), "log": str(log), "times": times or {}}
        return ForkedRunner(self, self.ask(order), log)

    def ask(self, order: dict[str, Any]) -> int:
        """Send an order; the number that comes back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())
