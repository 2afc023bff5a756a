"""Our own files and directories: output, backups, databases, configuration, logs.

They are known by what they are (device and inode) as well as by where they are, because a bind
mount, another spelling or a hard link gives the same file another path.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from des_core.basics.errors import ConfigError, NoAnswer
from des_core.basics.object_config import is_object_url
from des_core.basics.time_limit import within

LOOK_LIMIT_S = 20.0
EVERYWHERE = "/"
Identity = tuple[int, int]


class OwnPlaces:
    """Directories with all that is in them, and single files.

    `deep` also knows each directory below, and files that have several names.
    """

    def __init__(self, places: Iterable[str] = (), *, deep: bool = False) -> None:
        self._places = tuple(sorted({os.path.realpath(place) for place in places}))
        self._prefixes = tuple(place.rstrip("/") + "/" for place in self._places)
        self._is_deep = deep
        self._files: set[Identity] = set()
        self._directories: set[Identity] = set()
        self._linked: set[Identity] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look again at what may have been made anew, as a database's journal."""
        self._linked = None
        tops = [status for place in self._places if (status := _look(place)) is not None]
        self._files = {identity_of(s) for s in tops if not stat.S_ISDIR(s.st_mode)}
        directories = {identity_of(s) for s in tops if stat.S_ISDIR(s.st_mode)}
        if self._is_deep and not self._directories:
            directories |= {identity_of(os.stat(path)) for path in self._all_directories()}
        self._directories |= directories

    def has_path(self, real: str, apart: set[str] | None = None) -> bool:
        """Whether a resolved path lies in one of them, under whatever name it is mounted.

        `apart` are directories that the caller has found to lie in none of them, with all above;
        what is looked at now joins them. It is true for as long as nothing is mounted or moved.
        """
        if real in self._places or real.startswith(self._prefixes):
            return True
        if not self._directories:
            return False
        seen = set()
        for path, identity in ancestors(real):
            if apart is not None and path in apart:
                break
            if identity in self._directories:
                return True
            seen.add(path)
        if apart is not None:
            apart |= seen
        return False

    def has_file(self, status: os.stat_result) -> bool:
        """Whether an open file is one of them."""
        if identity_of(status) in self._files:
            return True
        if not self._is_deep or status.st_nlink < 2:
            return False
        if self._linked is None:
            self._linked = {identity_of(s) for s in self._all_files() if s.st_nlink > 1}
        return identity_of(status) in self._linked

    def _all_directories(self) -> Iterator[str]:
        for place in self._places:
            for path, _, _ in os.walk(place):
                yield path

    def _all_files(self) -> Iterator[os.stat_result]:
        for path in self._all_directories():
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        yield entry.stat(follow_symlinks=False)


def identity_of(status: os.stat_result) -> Identity:
    """What tells one file from all others, whatever it is called."""
    return status.st_dev, status.st_ino


def ancestors(real: str) -> Iterator[tuple[str, Identity]]:
    """The directory itself and those above it, as far as they can be looked at."""
    while True:
        status = _look(real)
        if status is not None:
            yield real, identity_of(status)
        if real == "/":
            return
        real = os.path.dirname(real)


def require_apart(roots: Sequence[str], places: Iterable[str]) -> None:
    """ConfigError where a root of sources lies in a place of ours, or a place of ours in it.

    The root `/` is meant to hold everything, and says nothing. NoAnswer where a disk does not tell.
    """
    places = tuple(places)
    try:
        within(LOOK_LIMIT_S, lambda: _require_apart(roots, places))
    except NoAnswer as exc:
        raise NoAnswer(
            "a directory that the configuration names does not answer",
            hint="look at its mount and at the server behind it",
            one_of=", ".join((*places, *roots)),
        ) from exc


def _require_apart(roots: Sequence[str], places: Iterable[str]) -> None:
    real_places = [(place, os.path.realpath(place)) for place in places]
    for root in roots:
        real = os.path.realpath(root)
        if real == EVERYWHERE or is_object_url(root):
            continue
        for place, real_place in real_places:
            if _contains(real, real_place) or _contains(real_place, real):
                raise ConfigError(
                    "a source root and a place of the archive itself are not apart",
                    hint="let packer.source_roots name directories that hold sources and nothing "
                    "else: shards, backups, databases and configuration lie elsewhere",
                    key="packer.source_roots",
                    root=root,
                    place=place,
                )


def _contains(outer: str, inner: str) -> bool:
    if inner == outer or inner.startswith(outer.rstrip("/") + "/"):
        return True
    status = _look(outer)
    return status is not None and identity_of(status) in {
        identity for _, identity in ancestors(inner)
    }


def _look(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None
