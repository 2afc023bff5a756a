"""Pieces of SQL by which one odd value of `files` stays one row's matter.

A column of sizes may hold what is no number, and SQLite keeps values of any type in any column: a
cast, or a sum, would fail for the whole statement.
"""

from __future__ import annotations

from des_core.basics.identifiers import Dialect

# Fifteen digits are a petabyte; sums of them overflow nowhere.
_SIZE = {
    Dialect.POSTGRES: (
        "CASE WHEN {size} IS NULL THEN NULL"
        " WHEN CAST({size} AS text) ~ '^[0-9]{1,15}([.]0*)?$'"
        " THEN CAST(CAST({size} AS numeric) AS bigint) ELSE -1 END"
    ),
    Dialect.MYSQL: (
        "CASE WHEN {size} IS NULL THEN NULL"
        " WHEN CAST({size} AS CHAR) REGEXP '^[0-9]{1,15}([.]0*)?$'"
        " THEN CAST({size} AS SIGNED) ELSE -1 END"
    ),
    Dialect.SQLITE: (
        "CASE WHEN {size} IS NULL THEN NULL"
        " WHEN typeof({size}) = 'blob' THEN -1"
        " WHEN typeof({size}) = 'text' AND ({size} GLOB '*[^0-9]*' OR {size} = '') THEN -1"
        " WHEN CAST({size} AS integer) BETWEEN 0 AND 999999999999999"
        " AND CAST({size} AS integer) = CAST({size} AS real)"
        " THEN CAST({size} AS integer) ELSE -1 END"
    ),
}

UID_IS: dict[Dialect | None, str] = {
    Dialect.POSTGRES: "({uid} = :uid OR :uid_is_null AND {uid} IS NULL)",
    Dialect.MYSQL: "({uid} <=> :uid AND {uid_bytes} <=> :uid)",
    Dialect.SQLITE: (
        "({uid} IN (:uid, CAST(:uid_broken AS text))"
        " AND {uid_bytes} IN (:uid, CAST(:uid_broken AS text))"
        " OR {uid} = :uid_number AND typeof({uid}) IN ('integer', 'real')"
        " OR :uid_is_null AND {uid} IS NULL)"
    ),
}
"""What the hole `{uid_is}` stands for: `SourceSchema.uid_values` says what it binds."""


def size_value(dialect: Dialect, quoted_size: str | None, *, is_whole: bool) -> str:
    """SQL for a size: NULL where there is none, -1 where it is no number of bytes.

    `is_whole` where the column's type lets nothing else in.
    """
    if quoted_size is None:
        return "NULL"
    if is_whole and dialect is not Dialect.SQLITE:
        return quoted_size
    return _SIZE[dialect].replace("{size}", quoted_size)
