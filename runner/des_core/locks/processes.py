"""Who a process is, so that others on the same machine can prove that it is gone."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = (Path("/proc/self/ns/pid"), Path("/proc/self/ns/time"))
_ENDED = frozenset("ZX")
# Of /proc/PID/stat, counted from the state, which stands behind the name in brackets.
_STATE, _START_TIME = 0, 19


@dataclass(frozen=True, slots=True)
class Process:
    """A process of some machine. `mark` names its boot, its namespaces and its start time.

    A process id alone proves nothing: it is used again, and means another process in another
    container or after a reboot.
    """

    host: str
    pid: int
    mark: str


def this_process() -> Process:
    """The calling one; its mark is empty where the system does not say enough."""
    pid = os.getpid()
    started, place = _started(pid), _place()
    mark = f"{place} {started}" if started and place else ""
    return Process(socket.gethostname()[:255], pid, mark)


def is_gone(process: Process) -> bool:
    """Whether it has certainly ended. False also where that cannot be known from here."""
    place = _place()
    if not place or not process.mark.startswith(f"{place} "):
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and somebody else's
    started = _started(process.pid)
    return started is not None and process.mark != f"{place} {started}"


@cache
def _place() -> str:
    """Where process ids and start times mean what they mean here."""
    try:
        names = [_BOOT_ID.read_text().strip(), *(str(path.readlink()) for path in _NAMESPACES)]
    except OSError:
        return ""
    return " ".join(names)


def _started(pid: int) -> str | None:
    """The start time of a process, or that it has ended; None where it is hidden from us."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return "ended" if fields[_STATE] in _ENDED else fields[_START_TIME]
