"""What of a uid's bucket the source database can compute, so that a sharded worker reads less.

The expression is a number whose low bits are the bucket, or NULL where this server cannot be sure
of it: such rows are read and judged by `routing`, which has the last word in any case. So an
expression may say NULL too often, but never a wrong number.

It is the uid itself for ASCII digits (the last 16 decide) and the CRC-32 of the UTF-8 for the
rest; digits of other scripts count as digits too, which SQL does not know, hence the check that
text is ASCII before its CRC-32 is believed.
"""

from __future__ import annotations

from enum import StrEnum

from des_core.basics.identifiers import Dialect

_POSTGRES_INTEGER = "CASE WHEN {uid} >= 0 THEN CAST({uid} AS bigint) END"
_POSTGRES_TEXT = (
    "CASE WHEN CAST({uid} AS text) <> '' AND CAST({uid} AS text) !~ '[^0-9]'"
    " THEN CAST(right(CAST({uid} AS text), 16) AS bigint) END"
)
_POSTGRES_TEXT_CRC32 = _POSTGRES_TEXT.removesuffix(" END") + (
    " WHEN octet_length(convert_to(CAST({uid} AS text), 'UTF8')) = char_length(CAST({uid} AS text))"
    " THEN crc32(convert_to(CAST({uid} AS text), 'UTF8')) END"
)
_MYSQL_INTEGER = "CASE WHEN {uid} >= 0 THEN {uid} ELSE CRC32(CAST({uid} AS CHAR)) END"
# Not '^[0-9]+$': there the dollar also matches before a line feed at the end.
_MYSQL_TEXT = (
    "CASE WHEN CAST({uid} AS CHAR) <> '' AND CAST({uid} AS CHAR) NOT REGEXP '[^0-9]'"
    " THEN CAST(RIGHT({uid}, 16) AS UNSIGNED)"
    " WHEN LENGTH(CONVERT({uid} USING utf8mb4)) = CHAR_LENGTH(CONVERT({uid} USING utf8mb4))"
    " THEN CRC32(CONVERT({uid} USING utf8mb4)) END"
)
# Columns hold what was put there, whatever their type; GLOB would stop at a NUL.
_SQLITE_ANY = (
    "CASE WHEN typeof({uid}) = 'integer' AND {uid} >= 0 THEN {uid}"
    " WHEN typeof({uid}) = 'text' AND {uid} <> '' AND {uid} NOT GLOB '*[^0-9]*'"
    " AND length(CAST({uid} AS blob)) = length({uid})"
    " THEN CAST(substr({uid}, -16) AS integer) END"
)


class Filtering(StrEnum):
    """Who leaves out the rows of other workers' buckets."""

    IN_DATABASE = "in_database"
    NUMBERS_IN_DATABASE = "numbers_in_database"
    HERE = "here"

    def describe(self) -> str:
        """For a plan."""
        if self is Filtering.IN_DATABASE:
            return "the database leaves out the rows of other workers"
        if self is Filtering.NUMBERS_IN_DATABASE:
            return (
                "the database leaves out rows of other workers whose uid is a number; every worker "
                "reads all other rows of the window and passes over what is not its own"
            )
        return (
            "every worker reads all rows of the window and passes over what is not its own, for "
            "this server cannot compute the bucket of such uids (PostgreSQL 18 and MySQL can)"
        )


def filtering_of(uid_kind: str, *, has_crc32: bool) -> Filtering:
    """How far the database can help with uids of that kind."""
    if has_crc32 or uid_kind == "integer":
        return Filtering.IN_DATABASE
    return Filtering.NUMBERS_IN_DATABASE if uid_kind == "text" else Filtering.HERE


def routing_expression(
    dialect: Dialect, quoted_uid: str, uid_kind: str = "text", *, has_crc32: bool = False
) -> str:
    """SQL for the number that routes a uid."""
    if dialect is Dialect.SQLITE:
        template = _SQLITE_ANY
    elif dialect is Dialect.MYSQL:
        template = _MYSQL_INTEGER if uid_kind == "integer" else _MYSQL_TEXT
    elif uid_kind == "integer":
        template = _POSTGRES_INTEGER
    else:
        template = _POSTGRES_TEXT_CRC32 if has_crc32 else _POSTGRES_TEXT
    return template.replace("{uid}", quoted_uid)
