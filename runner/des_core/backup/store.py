"""The directory of backups: one each, named by time and database; unfinished ones apart."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from des_core.backup.claims import (
    Claim,
    forget_claims,
    is_claimed,
    refuse_second,
    try_claim,
    whole_directory,
)
from des_core.backup.dump import Stored
from des_core.backup.manifest import FILE_NAME, Manifest, read_manifest, sync_directory
from des_core.basics.errors import DamagedData, Refused, UsageError

UNFINISHED = ".unfinished"
REMOVED = ".removed"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_BEGUN = re.compile(r"\d{8}T\d{6}Z_(?P<label>.+?)(?:-\d+)?\.unfinished")


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory found. `problem` says why it is not a finished backup, if it is none."""

    name: str
    path: Path
    stored: Stored | None
    problem: str | None


def list_backups(directory: Path) -> list[Entry]:
    """Everything that looks like a backup, newest first; what has no manifest comes last."""
    if not directory.is_dir():
        return []
    entries = [load_entry(path) for path in directory.iterdir() if _looks_like_one(path)]
    return sorted(entries, key=_age, reverse=True)


def load_entry(path: Path) -> Entry:
    """What is at `path`."""
    if path.name.endswith((UNFINISHED, REMOVED)):
        return Entry(path.name, path, None, _unfinished_problem(path))
    try:
        manifest, digest = read_manifest(path)
    except FileNotFoundError:
        return Entry(path.name, path, None, "it has no manifest: it was never finished")
    except (DamagedData, OSError) as exc:
        return Entry(path.name, path, None, str(exc))
    return Entry(path.name, path, Stored(path, manifest, digest), None)


def find_backup(directory: Path | None, name: str) -> Path:
    """The backup called `name`, or at the path `name`. UsageError names the nearest."""
    if looks_like_path(name):
        path = Path(name)
        if path.is_dir():
            return path
        if path.is_file():
            raise UsageError(
                "a dump by itself cannot be checked: nobody wrote down what it should hold",
                hint="make one with a manifest: des-admin backup create",
                path=name,
            )
        raise UsageError("there is no backup directory here", path=name)
    if directory is None:
        raise UsageError(
            "a backup by name needs backup.dir", hint="set backup.dir, or give the backup's path"
        )
    path = directory / name
    if not path.is_dir():
        raise UsageError(
            f"there is no backup {name!r}", hint="see: des-admin backup list", dir=str(directory)
        )
    return path


def looks_like_path(name: str) -> bool:
    """A slash or a dot in front says that a path is meant."""
    return "/" in name or name in (".", "..")


def is_of_database(manifest: Manifest, dialect: str, database: str) -> bool:
    """Whether the backup is of the database with this name (for SQLite: this path)."""
    return manifest.server.dialect == dialect and manifest.server.database == database


def previous_of(entries: list[Entry], stored: Stored) -> Stored | None:
    """The backup before this one of the same database, made the same way."""
    manifest = stored.manifest
    older = [
        entry.stored
        for entry in entries
        if entry.stored is not None
        and entry.stored.manifest.started_at < manifest.started_at
        and entry.stored.manifest.server.database == manifest.server.database
        and entry.stored.manifest.layout == manifest.layout
        and entry.stored.manifest.chosen_tables == manifest.chosen_tables
        and _suffixes(entry.stored.manifest) == _suffixes(manifest)
    ]
    return max(older, key=lambda other: other.manifest.started_at, default=None)


@contextmanager
def new_backup(directory: Path, database: str, started_at: datetime) -> Iterator[Path]:
    """A private directory to fill; at the end of the block it gets its name, or it is removed.

    1. The block writes files and, last, the manifest, all synced. 2. The rename makes the backup
    appear. 3. The parent is synced. A crash before 2 leaves a directory that no check accepts.
    LockHeld where a backup of this database is being made in `directory`.
    """
    _require_directory(directory)
    label = _UNSAFE.sub("-", database)[:80]
    with whole_directory(directory):
        _refuse_second(directory, label)
        stamp = f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        forget_claims(directory)
        unfinished, claim = _make_unfinished(directory, f"{stamp}_{label}")
    try:
        yield unfinished
        unfinished.rename(unfinished.with_name(unfinished.name.removesuffix(UNFINISHED)))
        sync_directory(directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        claim.release()


def left_behind(directory: Path) -> list[Entry]:
    """What whoever began it never finished, and nobody is at work on."""
    return [
        entry
        for entry in list_backups(directory)
        if entry.name.endswith((UNFINISHED, REMOVED)) and not is_claimed(entry.path)
    ]


def take_up(directory: Path) -> list[str]:
    """Name what was finished by a process that ended before it could: the backups found so.

    Whoever may only read the directory leaves that to others.
    """
    found: list[str] = []
    if not os.access(directory, os.W_OK | os.X_OK):
        return found
    with whole_directory(directory):
        for path in sorted(directory.glob(f"*{UNFINISHED}")):
            final = path.with_name(path.name.removesuffix(UNFINISHED))
            if is_claimed(path) or final.exists() or not _is_finished(path, final.name):
                continue
            path.rename(final)
            sync_directory(directory)
            found.append(final.name)
    return found


def _is_finished(path: Path, name: str) -> bool:
    try:
        return read_manifest(path)[0].name == name
    except (DamagedData, OSError):
        return False


def _refuse_second(directory: Path, label: str) -> None:
    for path in directory.glob(f"*{UNFINISHED}"):
        match = _BEGUN.fullmatch(path.name)
        if match and match["label"] == label and is_claimed(path):
            raise refuse_second(path)


def _unfinished_problem(path: Path) -> str:
    if path.name.endswith(REMOVED):
        return "its removal was cut off: des-admin backup prune goes on with it"
    if is_claimed(path):
        return "it is being made"
    if (path / FILE_NAME).exists():
        return "it is finished, but was not given its name: des-admin backup check does that"
    return "it was never finished: whoever made it ended too early"


def _make_unfinished(directory: Path, name: str) -> tuple[Path, Claim]:
    """The directory, claimed before it was there to be seen."""
    for number in range(1, 100):
        candidate = name if number == 1 else f"{name}-{number}"
        if (directory / candidate).exists():
            continue
        path = directory / f"{candidate}{UNFINISHED}"
        if path.exists() or (claim := try_claim(path)) is None:
            continue
        try:
            path.mkdir(mode=0o700)
        except BaseException:
            claim.release()
            raise
        return path, claim
    raise Refused("a hundred backups have begun in this second", dir=str(directory))


def _require_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(
            f"the directory for backups cannot be made: {exc.strerror}",
            hint="set backup.dir, or use --dir",
            path=str(directory),
        ) from exc
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(
            "the directory for backups cannot be written to",
            hint="set backup.dir, or use --dir",
            path=str(directory),
        )


def _looks_like_one(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _age(entry: Entry) -> tuple[bool, datetime, str]:
    if entry.stored is None:
        return False, datetime.min.replace(tzinfo=UTC), entry.name
    return True, entry.stored.manifest.started_at, entry.name


def _suffixes(manifest: Manifest) -> frozenset[str | None]:
    return frozenset(entry.compression for entry in manifest.files)
