"""Finds secrets that stand in a configuration file itself: it is copied into a ConfigMap.

Its values are known, also those of three letters. Comments are not, so they are read as well: an
old URL behind a # is a password, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from des_core.process.secrets import every_secret
from des_core.settings.config import Settings

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")  # one with a default holds a value
_LOGIN = re.compile(r"://[^\s:/@]*+:(?!\*\*\*@)[^\s/@]++@")
_OPTION = re.compile(r"[?&]\w*(?:pass|pwd|secret|token)\w*+=[^\s&\"']", re.I)
_KEY = re.compile(
    r"[ \t#-]*+[\"']?(?=\w*(?:pass|pwd|secret|token|access_?key|api_?key))\w++[\"']?[ \t]*+[:=]"
    r"[ \t]*+(?!null\b|~|\"\"|''|\*\*\*|#)[^\s]",
    re.I,
)
_MAX_LINE = 10_000


def find_written_secret(
    settings: Settings, known_values: Iterable[str], config_text: str
) -> str | None:
    """Where one stands, in words; None where all are variables."""
    if any(_is_written(secret, known_values) for secret in every_secret(settings)):
        return "a value of the configuration"
    for number, line in enumerate(config_text.splitlines(), 1):
        plain = _VARIABLE.sub("", line[:_MAX_LINE])
        if _LOGIN.search(plain) or _OPTION.search(plain) or _KEY.match(plain):
            return f"line {number}"
    return None


def _is_written(secret: str, known_values: Iterable[str]) -> bool:
    for value in sorted(filter(None, known_values), key=len, reverse=True):
        for form in (value, quote(value, safe=""), quote_plus(value)):
            secret = secret.replace(form, "")
    return any(sign.isalnum() for sign in secret)
