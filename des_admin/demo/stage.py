"""Shows a command as it would be typed, runs it for real, and insists on its exit code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from des_admin.context import Context
from des_core.basics.errors import CheckFailed

_BOOT = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "sys.exit(importlib.import_module(sys.argv.pop(1)).main())"
)
MODULES = {
    "des-admin": "des_admin.__main__",
    "des-migrate": "des_admin.per_record_cli",
    "des-retriever": "des_admin.retriever_cli",
}


@dataclass
class Step:
    """One command of the play, as it went."""

    command: str
    exit_code: int
    seconds: float


@dataclass
class Stage:
    """The demo's directory, where every command runs without any configuration of the user's."""

    context: Context
    directory: Path
    steps: list[Step] = field(default_factory=list)

    def chapter(self, title: str, *explanation: str) -> None:
        """A heading and why this is done."""
        talk = self.context.talk
        talk.print()
        talk.print(title, style="bold cyan")
        for line in explanation:
            talk.print(line, style="dim")

    def run(self, command: str, *, expect: Sequence[int] = (0,)) -> None:
        """Run a command line. CheckFailed if it ends with another exit code than expected."""
        self.context.talk.print(f"$ {command}", style="bold")
        began = time.monotonic()
        code = self._process(command, None).wait()
        self._note(command, code, time.monotonic() - began, expect)

    def ask(self, command: str) -> dict[str, object]:
        """The JSON that a command prints; not shown."""
        process = self._process(f"{command} --output json", subprocess.PIPE)
        text, _ = process.communicate()
        if process.returncode:
            raise CheckFailed("a step of the demo failed", command=command)
        answer: dict[str, object] = json.loads(text)
        return answer

    def _process(self, command: str, stdout: int | None) -> subprocess.Popen[str]:
        words = shlex.split(command)
        program = [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), MODULES[words[0]]]
        # In JSON mode stdout belongs to the demo's own summary.
        target = sys.stderr if stdout is None and self.context.wants_json else stdout
        sys.stdout.flush()
        return subprocess.Popen(
            [*program, *words[1:]],
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=target,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DES_ADMIN")}
        return {**kept, "XDG_CONFIG_HOME": str(self.directory / "no-config")}

    def _note(self, command: str, code: int, seconds: float, expect: Sequence[int]) -> None:
        self.steps.append(Step(command, code, round(seconds, 2)))
        if code == 130:
            raise KeyboardInterrupt
        if code not in expect:
            raise CheckFailed(
                "a step of the demo ended with an unexpected exit code",
                hint="run it with --keep and look into the directory",
                command=command,
                exit_code=code,
                expected=" or ".join(map(str, expect)),
            )
        if code:
            self.context.talk.print(f"(exit code {code}, as it should be)", style="dim")
