"""Pieces of SQL by which one odd value of `files` stays one row's matter.

A column of sizes may hold what is no number, and SQLite keeps values of any type in any column: a
cast, or a sum, would fail for the whole statement. A column of times may hold what no calendar has:

- SQLite keeps any text. What is no time is in no window: `{created_at_utc}` of it is NULL.
- MySQL and MariaDB may hold months and days of zero and 2024-02-31, and order them between real
  times. Such a value stands for the first real instant after it, as an hour that clocks skip does.
- PostgreSQL's infinities, years B.C. and beyond 9999 and the zero date are in no window.

`{is_time}` is false for what no window sees: a row like that was never packed.
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
    Dialect.POSTGRES: "({uid} = :uid AND {uid_bytes} = :uid OR :uid_is_null AND {uid} IS NULL)",
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


FIRST_DAY, DAY_AFTER_LAST = "0001-01-04", "9999-12-28"
"""No window reaches beyond: a day more or less, and the offset of a zone, stay in the calendar."""

_SQLITE_UTC = (
    "(CASE WHEN typeof({c}) = 'text' AND length({c}) = length(CAST({c} AS blob))"
    f" AND {{day}} >= '{FIRST_DAY}' AND {{day}} < '{DAY_AFTER_LAST}'"
    " AND date({day}, '+0 days') = {day}"
    " AND ({hour} = '' OR {hour} BETWEEN '00' AND '23')"
    " AND {rest} NOT GLOB '[0-9]*' AND {fraction} NOT GLOB '*[^0-9]*'"
    " THEN datetime(substr({c}, 1, 19) || {zone})"
    " || '.' || substr({fraction} || '000000', 1, 6) END)"
)
# Of a row that is known to be in a window.
_SQLITE_US = (
    "CAST(strftime('%s', substr({c}, 1, 19) || {zone}) AS integer) * 1000000"
    " + CAST(substr({fraction} || '000000', 1, 6) AS integer)"
)
_POSTGRES_US = "CAST(EXTRACT(EPOCH FROM {c}) * 1000000 AS bigint)"
# LAST_DAY of an impossible day is an error where something is written.
_REAL_DAY = (
    "MONTH({c}) > 0 AND (DAYOFMONTH({c}) BETWEEN 1 AND 28 OR DAYOFMONTH({c}) BETWEEN 29 AND"
    " DAYOFMONTH(LAST_DAY(MAKEDATE(YEAR({c}), 1) + INTERVAL MONTH({c}) - 1 MONTH)))"
)
_MYSQL_UTC = (
    f"(CASE WHEN {_REAL_DAY} THEN {{c}} ELSE MAKEDATE(YEAR({{c}}), 1) + INTERVAL"
    " GREATEST(MONTH({c}), 1) - (DAYOFMONTH({c}) < 28 OR MONTH({c}) = 0) MONTH END)"
)
_MYSQL_US = f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {_MYSQL_UTC})"


def utc_expression(dialect: Dialect, column: str) -> str:
    """On SQLite, `column` in the canonical text form whatever form the application wrote.

    NULL of what is no time of the calendar: `datetime()` alone would take 2024-02-30, 24:00:01,
    `now` and numbers. It reads a space or a T, Z and offsets; the fraction of the second, which it
    would cut, is carried over digit by digit. Elsewhere the column's own order is that of time,
    and only what is shown of it is made a time.
    """
    if dialect is Dialect.SQLITE:
        return _of_text(_SQLITE_UTC, column)
    return column if dialect is Dialect.POSTGRES else _MYSQL_UTC.replace("{c}", column)


def us_expression(dialect: Dialect, column: str) -> str:
    """Microseconds since 1970 of a value that is in a window: of the first real instant from it."""
    if dialect is Dialect.SQLITE:
        return _of_text(_SQLITE_US, column)
    return (_POSTGRES_US if dialect is Dialect.POSTGRES else _MYSQL_US).replace("{c}", column)


def _of_text(words: str, column: str) -> str:
    rest = f"substr({column}, 20)"
    zone = f"ltrim({rest}, '.0123456789')"
    parts = {
        "{fraction}": f"substr({rest}, 2, max(length({rest}) - length({zone}) - 1, 0))",
        "{zone}": zone,
        "{rest}": rest,
        "{day}": f"substr({column}, 1, 10)",
        "{hour}": f"substr({column}, 12, 2)",
        "{c}": column,
    }
    for hole, part in parts.items():
        words = words.replace(hole, part)
    return words


def is_time(dialect: Dialect, column: str) -> str:
    """SQL that is true of what a window can see and false, never NULL, of what none can."""
    if dialect is Dialect.SQLITE:
        return f"({utc_expression(dialect, column)} IS NOT NULL)"
    # On PostgreSQL without a zone: in the session's, in which the driver reads what it gets.
    return (
        f"({column} IS NOT NULL AND {column} >= '{FIRST_DAY} 00:00:00'"
        f" AND {column} < '{DAY_AFTER_LAST} 00:00:00')"
    )
