"""Files that somebody still needs: a filter that never forgets one, and rarely sees too many.

Two rows may point to one file, in other words, through a link, a bind mount or another name of the
same file. Until both are packed it must stay. So the files of rows that are not packed are
remembered by what they are (device and inode) and by their path, as hashes in a fixed 16 MiB: what
was added is always found, anything else hardly ever.

A file that cannot be looked at may be any: then nothing can be told from what is needed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from des_core.basics.object_config import is_object_url
from des_core.rows.values import paths_of

_BITS = 27
_MASK = (1 << _BITS) - 1
_SEPARATORS = re.compile(r"[/\\]")
_URL_SIGNS = frozenset("%?#")
_BESIDE_PATH = re.compile("[?#]")
_UNSEEN = f"{string.whitespace}\0"
# The path leads to no file now. Anything else means that it may lead to one.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class NeededFiles:
    """Add locations, then ask. `undecided` is one that could not be looked at, if there is any."""

    def __init__(self) -> None:
        self._bitmap = bytearray(1 << (_BITS - 3))
        self.undecided: str | None = None

    def add(self, locations: Iterable[str | None]) -> None:
        """Remember the files that these lead to now."""
        for location in locations:
            if location and not is_object_url(location):
                for path in paths_of(location):
                    self._add(path)

    def needs(self, location: str, status: os.stat_result) -> bool:
        """Whether the file at a location, with the status of its open self, was added."""
        return (
            self._has(_by_identity(status))
            or self._has(_by_path(location))
            or self._has(_by_likeness(location))
            or self._has(_by_end(location.rpartition("/")[2]))
        )

    def _add(self, location: str) -> None:
        if location[0] != "/":
            for text in (location, *_meant_by_url(location)):
                self._remember(_by_end(_SEPARATORS.split(text)[-1]))
        elif not self._is_there(location):
            for text in _meant_by_url(location):
                self._is_there(text)

    def _is_there(self, location: str) -> bool:
        """Remember where it leads to."""
        self._remember(_by_path(location))
        try:
            self._remember(_by_identity(os.stat(location)))
        except ValueError:  # a NUL, or what no name can hold
            self._remember(_by_likeness(location))
        except OSError as exc:
            self._remember(_by_likeness(location))
            if exc.errno not in _NO_FILE:
                self.undecided = location
        else:
            return True
        return False

    def _remember(self, key: bytes) -> None:
        for place in _places(key):
            self._bitmap[place >> 3] |= 1 << (place & 7)

    def _has(self, key: bytes) -> bool:
        return all(self._bitmap[place >> 3] >> (place & 7) & 1 for place in _places(key))


def _by_identity(status: os.stat_result) -> bytes:
    return b"i%d:%d" % (status.st_dev, status.st_ino)


def _by_path(location: str) -> bytes:
    return b"p" + _encode(os.path.normpath(location))


def _by_likeness(location: str) -> bytes:
    """For a file that is not there: file systems differ in which names they take for one.

    And whoever reads the row may not see the blank or the line end behind a name.
    """
    return b"l" + _plain(os.path.normpath(location))


def _by_end(name: str) -> bytes:
    """For a location that is no absolute path, of which nobody knows where it begins."""
    return b"e" + _plain(name)


def _plain(text: str) -> bytes:
    folded = unicodedata.normalize("NFC", text.strip(_UNSEEN)).casefold()
    return _encode(unicodedata.normalize("NFC", folded))


def _meant_by_url(location: str) -> Iterator[str]:
    """What it says if it is a URL: its path, without what a server is asked for beside it."""
    if _URL_SIGNS.isdisjoint(location):
        return
    yield unquote(location, errors="surrogateescape")
    path = _BESIDE_PATH.split(location)[0]
    if path:
        yield unquote(path, errors="surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _places(key: bytes) -> Iterator[int]:
    digest = hashlib.blake2b(key, digest_size=12).digest()
    for start in (0, 4, 8):
        yield int.from_bytes(digest[start : start + 4]) & _MASK
