"""Names of tables and columns: checked once, quoted in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from des_core.basics.errors import ConfigError


class Dialect(StrEnum):
    """The three SQL dialects; the value is also the folder under `sql/`."""

    POSTGRES = "postgres"
    MYSQL = "mysql"
    SQLITE = "sqlite"


_QUOTE = {Dialect.POSTGRES: '"', Dialect.MYSQL: "`", Dialect.SQLITE: '"'}
_MAX_BYTES = {Dialect.POSTGRES: 63, Dialect.MYSQL: 64 * 4, Dialect.SQLITE: 1000}


@dataclass(frozen=True, slots=True)
class TableName:
    """A table, with its schema where one is configured."""

    name: str
    schema: str | None = None

    def quoted(self, dialect: Dialect) -> str:
        """`"schema"."name"` in the dialect's quotes."""
        if self.schema is None:
            return quote(self.name, dialect)
        return f"{quote(self.schema, dialect)}.{quote(self.name, dialect)}"

    def values(self, dialect: Dialect) -> dict[str, object]:
        """What a statement on the catalogue binds to mean this table."""
        return {
            "table_name": self.quoted(dialect),
            "table_only": self.name,
            "schema_name": self.schema,
        }

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


def quote(name: str, dialect: Dialect) -> str:
    """`name` as a quoted identifier; quotes in it are doubled, so any name is safe.

    Raises ConfigError for what no server takes: empty, NUL, or longer than the dialect's limit.
    """
    if not name or "\x00" in name:
        raise ConfigError("a table or column name is empty or holds a NUL byte", name=repr(name))
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_BYTES[dialect]:
        raise ConfigError("a table or column name is too long for this database", name=name)
    mark = _QUOTE[dialect]
    return mark + name.replace(mark, mark * 2) + mark


def parse_table(text: str, schema: str | None) -> TableName:
    """The table that `database.table_name` and `database.schema` mean.

    `archive.files` is schema and table unless a schema is given on its own; a name with a dot
    in it is written in double quotes: `"my.files"`.
    """
    if schema is not None:
        return TableName(_unquote(text), schema)
    parts = _split_dots(text)
    if len(parts) == 1:
        return TableName(parts[0])
    if len(parts) == 2:
        return TableName(parts[1], parts[0])
    raise ConfigError(
        "table_name has more than one dot",
        hint='write schema.table, or put a name with a dot into double quotes: "my.files"',
        table_name=text,
    )


def _unquote(text: str) -> str:
    if len(text) > 2 and text[0] == text[-1] and text[0] in '"`':
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


def _split_dots(text: str) -> list[str]:
    parts, current, mark = [], "", ""
    for char in text:
        if mark:
            mark = "" if char == mark else mark
            current += char
        elif char in '"`' and not current:
            mark, current = char, char
        elif char == ".":
            parts.append(current)
            current = ""
        else:
            current += char
    return [_unquote(part) for part in [*parts, current]]
