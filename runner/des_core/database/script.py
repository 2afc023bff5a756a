"""A statement of the catalogue as text for psql, mariadb or sqlite3.

Bound parameters become the client's own variables, or literals where values are given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from des_core.basics.errors import UsageError
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import PARAMETER, Statement

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,18})(\.\d+)?")
_WORDS = {"null": "NULL", "true": "TRUE", "false": "FALSE"}

CLIENTS = {Dialect.POSTGRES: "psql", Dialect.MYSQL: "mariadb", Dialect.SQLITE: "sqlite3"}


@dataclass(frozen=True)
class ClientScript:
    """`text` runs in `client`; `unset` are the parameters that still want a value."""

    client: str
    text: str
    parameters: tuple[str, ...]
    unset: tuple[str, ...]


def script_for_client(
    statement: Statement, dialect: Dialect, values: Mapping[str, str]
) -> ClientScript:
    """The statement with `values` as literals, and variables for what is not given.

    Raises UsageError for a value whose name the statement does not have.
    """
    parameters = statement.parameters
    for name in values:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise UsageError(
                f"{statement.name} has no parameter {name!r}", hint=f"its parameters: {known}"
            )
    unset = tuple(name for name in parameters if name not in values)

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        return literal(values[name], dialect) if name in values else variable(name, dialect)

    body = PARAMETER.sub(fill, statement.escaped).replace(r"\:", ":")
    header = [f"-- {statement.name}: {statement.purpose}"] if statement.purpose else []
    header += [f"-- {set_line(name, dialect)}" for name in unset]
    return ClientScript(CLIENTS[dialect], "\n".join([*header, f"{body};"]), parameters, unset)


def literal(text: str, dialect: Dialect) -> str:
    """A literal: numbers, null, true and false as they are; everything else quoted as text.

    Text that looks like a number stays text when it is written in single quotes: `'007'`.
    """
    if "\x00" in text:
        raise UsageError("a value holds a NUL byte, which no SQL client takes")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return text
    if len(text) >= 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    if dialect is Dialect.MYSQL:
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"


def variable(name: str, dialect: Dialect) -> str:
    """How the client writes the variable `name`."""
    return {
        Dialect.POSTGRES: f":'{name}'",
        Dialect.MYSQL: f"@{name}",
        Dialect.SQLITE: f":{name}",
    }[dialect]


def set_line(name: str, dialect: Dialect) -> str:
    """How the variable is given a value before the statement runs."""
    return {
        Dialect.POSTGRES: f"first: \\set {name} 'VALUE'",
        Dialect.MYSQL: f"first: SET @{name} = 'VALUE';",
        Dialect.SQLITE: f"first: .parameter set :{name} \"'VALUE'\"",
    }[dialect]
