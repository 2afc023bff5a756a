"""Values of `files` as text that we can route, compare and record, whatever the column holds.

SQLite keeps what was put into a column, of whatever type, and text that is no Unicode. Such a uid
gets a text of its own that no proper uid has: it contains lone surrogates. So it becomes an
exception of its row, is found again by it, and is recorded in a form that every database takes.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# A row's size that is no number of bytes.
NO_SIZE = -1
# No decoding of bytes gives this one: it marks what is not text at all.
_MARK = "\udc00"
NULL_UID = f"{_MARK}NULL"
_BLOB = f"{_MARK}x'"
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_TO_ESCAPE = re.compile(r"[\\\x00\ud800-\udfff]")
_HEX = re.compile(r"(?:[0-9a-f]{2})++'")
_ESCAPED = re.compile(r"\\(\\|x00|ud[89a-f][0-9a-f]{2})")


def uid_text(value: Any) -> str:
    """The text form of a uid as the driver returned it; lone surrogates where it is no text."""
    if isinstance(value, str):
        return value
    if value is None:
        return NULL_UID
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{_BLOB}{bytes(value).hex()}'"
    return str(value)


def uid_value(text: str) -> str | bytes | None:
    """What `uid_text` was made of, but for numbers, which look like their text."""
    if text == NULL_UID:
        return None
    if text.startswith(_BLOB):
        return bytes.fromhex(text[len(_BLOB) : -1])
    return text


def number_of(text: str) -> int | float | None:
    """The number whose text form this is; None where it is not one's."""
    for kind in (int, float):
        try:
            number = kind(text)
        except (ValueError, OverflowError):
            continue
        if str(number) == text and isfinite(number):
            return number
    return None


def location_text(value: Any) -> str | None:
    """A location as text; of what is no text, a form that is no path and no URL."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"x'{bytes(value).hex()}'"
    return str(value)


def paths_of(location: str) -> Iterator[str]:
    """The paths that a location may mean: itself, and what it was before it was made text."""
    yield location
    if "\\" in location:
        yield _ESCAPED.sub(lambda match: _unescape(match[1]), location)
    if location.startswith("x'") and _HEX.fullmatch(location, 2):
        yield os.fsdecode(bytes.fromhex(location[2:-1]))


def describe_uid(text: str) -> str | None:
    """What is wrong with a uid that is no text; None for text."""
    if text == NULL_UID:
        return "the uid is NULL"
    return "the uid is a BLOB, not text" if text.startswith(_BLOB) else None


def storable(text: str) -> str:
    """The text with what no database takes written as an escape: NUL and lone surrogates."""
    if _NOT_STORABLE.search(text) is None:
        return text
    return _TO_ESCAPE.sub(lambda match: _escape(match[0]), text)


def as_before(stored: str, is_same: Callable[[str], bool]) -> str:
    """What `storable` was given, where `is_same` (a digest) knows it again; else `stored`."""
    if "\\" not in stored or is_same(stored):
        return stored
    original = _ESCAPED.sub(lambda match: _unescape(match[1]), stored)
    return original if is_same(original) else stored


def _escape(char: str) -> str:
    return {"\\": r"\\", "\0": r"\x00"}.get(char) or rf"\u{ord(char):04x}"


def _unescape(escape: str) -> str:
    return escape if escape == "\\" else chr(int(escape[1:], 16))


@contextmanager
def any_text(connection: Connection) -> Iterator[None]:
    """SQLite's text comes with lone surrogates where it is no Unicode, instead of as an error.

    The driver's connection may be somebody else's: it is left as it was.
    """
    raw: Any = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    before = raw.text_factory
    raw.text_factory = _decode
    try:
        yield
    finally:
        raw.text_factory = before


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
