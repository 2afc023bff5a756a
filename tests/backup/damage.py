"""Damages of a backup, generated: files removed, cut, changed, or replaced by another's."""

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from des_core.backup.findings import CheckReport, Level

WAYS = ("removed", "cut", "replaced", "flipped")
# What a name has of its own backup: a label, a checksum.
_OWN = re.compile(r"-[0-9a-f]{40}|\d{8}-?T?\d{6}[FDI]?(?:_\d{8}-\d{6}[DI])?|des_[0-9a-f]{12}")


@dataclass(frozen=True)
class Damage:
    """One file, what is done to it, where in it (a share), and whose bytes come in its place."""

    path: Path
    way: str
    place: float
    donor: Path | None = None

    def __str__(self) -> str:
        by = f" by {self.donor}" if self.donor else ""
        return f"{self.path.name} {self.way} at {self.place:.3f}{by}"


@dataclass
class Tally:
    """What became of the damages that were tried."""

    tried: int = 0
    found: int = 0
    harmless: int = 0
    lies: list[str] | None = None

    def __str__(self) -> str:
        return (
            f"{self.tried} damages, {self.found} found, {self.harmless} passed and restored, "
            f"{len(self.lies or [])} passed as good and did not restore"
        )


def generate(
    root: Path, donors: Path, special: Callable[[Path], bool], wanted: int, seed: int = 0
) -> list[Damage]:
    """Each special file in each way, then others by chance, then again at other places."""
    chance = random.Random(seed)
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    by_name: dict[str, list[Path]] = {}
    for path in sorted(p for p in donors.rglob("*") if p.is_file() and not p.is_symlink()):
        by_name.setdefault(_OWN.sub("", path.name), []).append(path)
    first = [p for p in files if special(p)]
    rest = [p for p in files if not special(p) and p.stat().st_size]
    chosen = [(path, way) for path in first for way in WAYS]
    chance.shuffle(chosen)
    others = [(path, way) for path in rest for way in WAYS]
    chosen += chance.sample(others, min(len(others), max(wanted - len(chosen), 0)))
    found: list[Damage] = []
    while len(found) < wanted:
        made = (_damage(path, way, by_name, chance) for path, way in chosen)
        found += [damage for damage in made if damage is not None]
    return found[:wanted]


def _damage(
    path: Path, way: str, by_name: dict[str, list[Path]], chance: random.Random
) -> Damage | None:
    place = chance.random()
    if way != "replaced":
        return Damage(path, way, place) if way == "removed" or path.stat().st_size else None
    same = [p for p in by_name.get(_OWN.sub("", path.name), []) if _differs(p, path)]
    beside = [p for p in path.parent.iterdir() if p.is_file() and _differs(p, path)]
    donors = same or sorted(beside)
    return Damage(path, way, place, chance.choice(donors)) if donors else None


def _differs(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()


@contextmanager
def inflicted(damage: Damage) -> Iterator[None]:
    """The damage is there for the length of the block; owner, mode and times stay."""
    kept = damage.path.read_bytes()
    found = damage.path.stat()
    try:
        if damage.way == "removed":
            damage.path.unlink()
        elif damage.way == "cut":
            with damage.path.open("r+b") as file:
                file.truncate(int(len(kept) * damage.place))
        elif damage.way == "flipped":
            bit = int(len(kept) * 8 * damage.place)
            changed = bytearray(kept)
            changed[bit // 8] ^= 1 << bit % 8
            damage.path.write_bytes(changed)
        elif damage.donor is not None:
            damage.path.write_bytes(damage.donor.read_bytes())
            shutil.copystat(damage.donor, damage.path)
            damage.path.chmod(found.st_mode)
        yield
    finally:
        damage.path.write_bytes(kept)
        damage.path.chmod(found.st_mode)
        os.chown(damage.path, found.st_uid, found.st_gid)
        os.utime(damage.path, ns=(found.st_atime_ns, found.st_mtime_ns))


def try_all(
    damages: list[Damage],
    check: Callable[[], CheckReport | None],
    promised: Level,
    restores: Callable[[], bool],
) -> Tally:
    """Each damage is found at the promised level, or a real restore does not mind it.

    `check` gives None where the tool, or we, refuse to speak of a backup at all.
    """
    tally = Tally(lies=[])
    for damage in damages:
        with inflicted(damage):
            report = check()
            tally.tried += 1
            if report is None or not report.is_good or report.level != promised:
                tally.found += 1
            elif restores():
                tally.harmless += 1
            else:
                assert tally.lies is not None
                tally.lies.append(str(damage))
                print(f"LIE: {damage}", flush=True)
    return tally
