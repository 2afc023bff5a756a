"""How many processors this process may really use, also inside a container."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_processors(cgroup: Path = CGROUP_ROOT) -> int:
    """Those that it may run on, or fewer where a quota lets it have less of their time."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return max(1, min(allowed, ceil(quota))) if quota else allowed


def _quota_v2(cgroup: Path) -> float | None:
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    return _divide(quota, period)


def _quota_v1(cgroup: Path) -> float | None:
    return _divide(_read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us"))


def _divide(quota: str, period: str) -> float | None:
    """None where there is no limit: `max`, -1, or no such file."""
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
