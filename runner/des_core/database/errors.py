"""What a driver says, as an error of ours: unreachable, read-only, wrong schema, …, or a bug.

The codes are those of the PostgreSQL manual (appendix "Error Codes") and of the MariaDB and MySQL
references of server errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from des_core.basics.errors import (
    DamagedData,
    DatabaseUnreachable,
    DesError,
    NotMigrated,
    Refused,
    TransactionConflict,
    WrongSchema,
)

ODD_TIME_HINT = "find them: des-admin sql show migration_odd_created_at; fix them, then try again"
_OWN_TABLES = "des_archive_"
_POINTER = re.compile(r"LINE \d+: ")


@dataclass(frozen=True)
class _Kind:
    """One thing that can be wrong, and how each database says it."""

    error: type[DesError]
    says: str
    hint: str
    sqlstates: tuple[str, ...]  # whole ones of PostgreSQL, or how they begin
    numbers: frozenset[int]  # of MySQL and MariaDB
    words: tuple[str, ...]  # in lower case, where there is no code: SQLite, drivers, poolers


_BUSY = _Kind(
    Refused,
    "gave up waiting for a lock in the database",
    "see who holds it: des-admin doctor; then run the same command again",
    ("55P03",),
    frozenset({1205}),
    ("database is locked", "database table is locked"),
)
_CUT_OFF = _Kind(
    Refused,
    "the server cut off a statement",
    "a limit on statements was reached (statement_timeout, max_statement_time, "
    "max_execution_time), or somebody cancelled it; see the limits: des-admin doctor; then run "
    "the same command again",
    ("57014",),
    frozenset({1317, 1969, 3024}),
    ("interrupted",),
)
_LOGGED_BY_STATEMENT = _Kind(
    Refused,
    "the server writes its binary log by statement, which takes no writes at READ COMMITTED",
    "set binlog_format to ROW (or MIXED) on the server, then run the same command again",
    (),
    frozenset({1665}),
    (),
)
_IDLE = _Kind(
    DatabaseUnreachable,
    "the server ended a session for a limit on its time",
    "see the limits of this user and database: des-admin doctor (idle_session_timeout, "
    "idle_in_transaction_session_timeout, transaction_timeout, wait_timeout); then run the same "
    "command again",
    ("25P03", "25P04", "57P05"),
    frozenset({4031}),
    (),
)
_CONFLICT = _Kind(
    TransactionConflict,
    "another transaction was in the way, and all of this one was undone",
    "run the same command again",
    ("40P01", "40001"),
    frozenset({1020, 1213, 1412, 3101}),
    (),
)
_DENIED = _Kind(
    Refused,
    "the database user may not do this",
    "grant it, or run this as the user that owns the tables",
    ("42501",),
    frozenset({1142, 1143, 1227, 1370}),
    (),
)
NO_SCHEMA = "no schema of this user's search_path is there"
NO_SCHEMA_HINT = "name the one with the tables: ALTER ROLE USER SET search_path = SCHEMA"
_NO_PLACE = _Kind(
    WrongSchema,
    NO_SCHEMA,
    NO_SCHEMA_HINT,
    ("3F000",),
    frozenset(),
    (),
)
_SCHEMA = _Kind(
    WrongSchema,
    "a table or a column is missing",
    "compare the names in the configuration with the database: des-admin doctor",
    ("42P01", "42703"),
    frozenset({1054, 1146}),
    ("no such table", "no such column"),
)
_ODD_TIME = _Kind(
    Refused,
    "a row holds a time outside the years 1 to 9999, of which no watermark can speak",
    ODD_TIME_HINT,
    (),
    frozenset(),
    ("timestamp too large", "timestamp too small"),
)
_TOO_LONG = _Kind(
    Refused,
    "the server takes no statement of that size",
    "raise max_allowed_packet on the server to 1 MiB or more, then run the same command again",
    (),
    frozenset({1153, 1301}),
    (),
)
_ODD_TEXT = _Kind(
    Refused,
    "a row holds text that is not UTF-8, so nobody can tell which name it means",
    "a database of the encoding SQL_ASCII takes any bytes: find the row with psql and correct it",
    ("22021",),
    frozenset(),
    (),
)
_NO_SIGN = _Kind(
    Refused,
    "the encoding of the database has no sign for a letter of what is written",
    "a database with the encoding UTF8 takes every text: name one in watermark.config_db_url "
    "or leave that letter out",
    ("22P05",),
    frozenset(),
    (),
)
_READ_ONLY = _Kind(
    DatabaseUnreachable,
    "the database takes no writes",
    "it is a standby, or was made read-only, for this user or at all (see: des-admin doctor): name "
    "the primary in the URL, or wait until it takes writes; then run the same command again",
    ("25006",),
    frozenset({1036, 1290, 1792, 1836, 1874, 1881}),
    ("readonly",),
)
_IN_TROUBLE = _Kind(
    DatabaseUnreachable,
    "the database server cannot go on",
    "see its log and its disks: it may be out of room or memory; then run the same command again",
    ("53100", "53200", "53400", "54000", "58"),
    frozenset({1021, 1026, 1030, 1037, 1038, 1041, 1114, 1180, 1197, 1206, 1598, 1637, 1878, 3100}),
    ("database or disk is full", "disk i/o error"),
)
_DAMAGED = _Kind(
    DamagedData,
    "the database says that its own files are damaged",
    "repair it, or restore a backup of it, before anything else; no shard is touched by this",
    ("XX001", "XX002"),
    frozenset({1034, 1035, 1194, 1195, 1712, 1877}),
    ("malformed",),
)
_CROWDED = _Kind(
    DatabaseUnreachable,
    "the database has no connection left",
    "see who holds them, or allow more, for this user or at all (a migration needs four, and one "
    "for each further session; verify one for each thread); then run the same command again",
    ("53300",),
    frozenset({1040, 1203, 1226}),
    ("too many clients", "too many connections", "connection slots are reserved"),
)
_UNREACHABLE = _Kind(
    DatabaseUnreachable,
    "the database cannot be reached",
    "check address, credentials and network, then run the same command again",
    ("08", "28", "3D", "57P"),
    frozenset({1044, 1045, 1047, 1049, 1053, 1129, 1130, 1158, 1159, 1160, 1161})
    | {1251, 1524, 1698, 1820, 1862, 1927, 2002, 2003, 2005, 2006, 2013, 2026, 2055}
    | {3032, 3118, 3159, 3955, 4151},
    ("unable to open", "not a database", "connection timeout expired"),
)
_UNPREPARED = _Kind(
    Refused,
    "the database does not let the table be written as it is",
    "see to what it names (of a published table: ALTER TABLE … REPLICA IDENTITY FULL, or a primary "
    "key), then run the same command again",
    ("55000",),
    frozenset({3098}),
    (),
)
_RULE = _Kind(
    Refused,
    "a rule of the database (a trigger or a CHECK) does not allow that",
    "nothing of this transaction was kept; see to the rule or to the row that it speaks of, then "
    "run the same command again",
    ("P0001", "23514"),
    frozenset({1644, 3819, 4025}),
    ("check constraint failed", "sqlite_constraint_trigger"),
)
_TAKEN = _Kind(
    Refused,
    "the database has something of that name already",
    "look first at what has that name: one of our own tables is one that this user may not see, "
    "and wants a grant; anything else wants another name. Then run the same command again",
    ("42P07", "42710"),
    frozenset({1050, 1061}),
    ("already exists",),
)
_HANGS_ON_IT = _Kind(
    Refused,
    "something in the database stands in the way of that change",
    "drop what it names (a view that reads the column or table, a rule on a table of this program, "
    "GENERATED ALWAYS of a column), and make it again afterwards if it is still wanted; then run "
    "the same command again",
    ("2BP01", "0A000", "428C9"),
    frozenset({1217, 1451, 3730}),
    (),
)
_TOO_NARROW = _Kind(
    Refused,
    "a value does not fit into a column",
    "a table made by hand may be narrower than ours (INT, VARCHAR(100) of utf8mb4): widen the "
    "column that it names, then run the same command again",
    ("22001", "22003"),
    frozenset({1264, 1366, 1406}),
    (),
)
_CHANGED_TOO_MUCH = _Kind(
    Refused,
    "the table was changed more during an index build than the server keeps "
    "(innodb_online_alter_log_max_size)",
    "raise it on the server, or choose a quieter hour; then run the same command again",
    (),
    frozenset({1799}),
    (),
)
_NUMBER_TAKEN = _Kind(
    Refused,
    "the database gave a new row a key that another one has",
    "a sequence is behind its table, as after a failover to a logical replica or a restore of data "
    "alone: for each of our tables, SELECT setval(pg_get_serial_sequence(TABLE, COLUMN), "
    "(SELECT MAX(COLUMN) FROM TABLE)); then run the same command again",
    ("23505",),
    frozenset(),
    (),
)
_KEY_TAKEN = _Kind(
    Refused,
    "the database gave a new row a key that another one has",
    "a unique key was added to the table, or its AUTO_INCREMENT is at the end of its type: SHOW "
    "CREATE TABLE tells; then run the same command again",
    (),
    frozenset({1062}),
    (),
)
_POOLED_BY_STATEMENT = _Kind(
    Refused,
    "the pooler before the server lets no transaction through",
    "set its pool_mode to transaction or session, or name the server itself in the URL",
    (),
    frozenset(),
    ("statement pooling mode",),
)
_KINDS = (
    _BUSY,
    _CUT_OFF,
    _LOGGED_BY_STATEMENT,
    _IDLE,
    _CONFLICT,
    _DENIED,
    _NO_PLACE,
    _SCHEMA,
    _ODD_TIME,
    _TOO_LONG,
    _ODD_TEXT,
    _NO_SIGN,
    _READ_ONLY,
    _IN_TROUBLE,
    _DAMAGED,
    _CROWDED,
    _UNPREPARED,
    _RULE,
    _TAKEN,
    _HANGS_ON_IT,
    _TOO_NARROW,
    _CHANGED_TOO_MUCH,
    _NUMBER_TAKEN,
    _KEY_TAKEN,
    _POOLED_BY_STATEMENT,
    _UNREACHABLE,
)


def translate(exc: DBAPIError, label: str) -> DesError:
    """The error of ours that says what `exc` means; the statement's values are left out."""
    kind = _kind(exc)
    detail = _detail(exc)
    if kind is None:
        return DesError(f"the database refused a statement: {detail}", database=label)
    if kind is _SCHEMA and _OWN_TABLES in detail:
        return NotMigrated(
            f"this database is not migrated, or a table of this program was dropped: {detail}",
            hint="see: des-admin migrate plan; then: des-admin migrate up",
            database=label,
        )
    return kind.error(f"{kind.says}: {detail}", hint=kind.hint, database=label)


def is_busy(exc: BaseException) -> bool:
    """Whether a lock was not had in time, or a deadlock was ended: worth another try."""
    if isinstance(exc, TransactionConflict):
        return True
    cause = exc if isinstance(exc, DBAPIError) else exc.__cause__
    return isinstance(cause, DBAPIError) and _kind(cause) in (_BUSY, _CONFLICT)


def hangs_on(exc: BaseException) -> bool:
    """Whether something depends on what was to go."""
    cause = exc.__cause__
    return isinstance(cause, DBAPIError) and _kind(cause) is _HANGS_ON_IT


def _detail(exc: DBAPIError) -> str:
    """What the driver said, without the piece of our statement that PostgreSQL points at."""
    lines = str(exc.orig).splitlines()
    at = next((number for number, line in enumerate(lines) if _POINTER.match(line)), None)
    if at is not None:
        del lines[at : at + 2]
    return " ".join(" ".join(lines).split())[:400]


def _kind(exc: DBAPIError) -> _Kind | None:
    original = exc.orig
    found = next((kind for kind in _KINDS if _says(original, kind)), None)
    if found is not None:
        return found
    if "PL/pgSQL function" in (getattr(getattr(original, "diag", None), "context", None) or ""):
        return _RULE  # whatever code a trigger's own statement ends with
    # A connection that broke has whatever code it broke with (PyMySQL's is 0 for a closed one), and
    # psycopg has no SQLSTATE where it never got through to a server.
    never_there = (
        type(original).__name__ == "OperationalError"
        and getattr(original, "sqlstate", "none") is None
    )
    return _UNREACHABLE if exc.connection_invalidated or never_there else None


def _says(original: object, kind: _Kind) -> bool:
    """Whether the driver's error is of this kind."""
    arguments = getattr(original, "args", ())
    if arguments and isinstance(arguments[0], int):
        # Before the SQLSTATE, which PyMySQL has too, but coarser.
        return arguments[0] in kind.numbers
    # SQLite has none at all, psycopg none where it got no connection.
    sqlstate = getattr(original, "sqlstate", None)
    if sqlstate is None or not kind.sqlstates:
        text = f"{original} {getattr(original, 'sqlite_errorname', '')}".lower()
        return any(word in text for word in kind.words)
    return str(sqlstate).startswith(kind.sqlstates)
