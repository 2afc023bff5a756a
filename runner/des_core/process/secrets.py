"""Secrets of a configuration, and texts without them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from pydantic import BaseModel, SecretStr

MASK = "***"
# A shorter one would blacken ordinary words; the patterns below still catch it in its place.
SHORTEST = 4
_WORDS = r"pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key"
# Possessive, and with one start in each run of characters: time grows with the length of the text.
_TO_AN_AT = re.compile(r"(?<![^\s\"'@])[^\s\"'@]++(?=@)")
_ASSIGNED = re.compile(
    rf"(?P<before>\b(?=\w*?(?:{_WORDS}))\w++[\"']?+\s*+[=:]\s*+[\"']?+)[^\s\"'&,;}}]++", re.I
)
# Of a value that goes into a log: no text is longer, and what is nested deeper is not shown.
MAX_TEXT = 4096
MAX_DEPTH = 16


def secrets_of(section: BaseModel) -> frozenset[str]:
    """The secret values of the settings: passwords within URLs, and every secret that is no URL."""
    return frozenset(
        secret for secret in _walk(section) if len(secret) >= SHORTEST and secret != MASK
    )


def every_secret(section: BaseModel) -> frozenset[str]:
    """The same, however short: for whom a false alarm is better than none."""
    return frozenset(_walk(section)) - {"", MASK}


class Redactor:
    """Masks known secrets, however they are escaped, and whatever stands where secrets stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if "://" in text:
            text = _TO_AN_AT.sub(_mask_login, text)
        return _ASSIGNED.sub(rf"\g<before>{MASK}", text)

    def clean_value(self, value: Any, depth: int = 0) -> Any:
        """A value as plain numbers, texts, lists and dictionaries, bounded and without secrets."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= MAX_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {
                _shorten(self.clean(str(key))): self.clean_value(item, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean_value(item, depth + 1) for item in value]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        return _shorten(self.clean(str(value)))


def _mask_login(match: re.Match[str]) -> str:
    """`scheme://user:` and what follows up to an @, with the password masked."""
    text = match[0]
    at = text.find("://")
    while at >= 0:
        user = at + 3
        colon, slash = text.find(":", user), text.find("/", user)
        if colon >= 0 and (slash < 0 or colon < slash):
            return f"{text[: colon + 1]}{MASK}"
        at = text.find("://", user)
    return text


def _shorten(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def _walk(section: BaseModel) -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _walk(value)
        elif isinstance(value, SecretStr):
            yield from _of_value(value.get_secret_value())


def _of_value(value: str) -> Iterator[str]:
    if "://" not in value:
        yield value
        return
    # By hand: `urlsplit` refuses many a broken URL, and those have secrets too.
    address, _, query = value.partition("://")[2].partition("?")
    for place in (address.partition("/")[0], address):  # a password may hold a bare slash
        password = place.rpartition("@")[0].partition(":")[2]
        if password:
            yield from (password, unquote(password))
    for name, option in parse_qsl(query.partition("#")[0]):
        if re.search(_WORDS, name, re.I):
            yield option


def _forms(secret: str) -> set[str]:
    """As it is, and as URLs, JSON and Python would write it."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    escaped |= {repr(secret)[1:-1], repr(secret.encode("utf-8", "surrogatepass"))[2:-1]}
    return {secret, quote(secret, safe=""), quote_plus(secret), *escaped}
