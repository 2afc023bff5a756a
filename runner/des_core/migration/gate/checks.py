"""The gate before the column archived goes: a list of small checks, each with its finding.

Every way to the drop leads through here: `des-admin migrate up --drop-archived` and a bare
`alembic upgrade heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_core.backup.evidence import judge_backup
from des_core.backup.identity import Target
from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import one_or_many
from des_core.database.catalog import CREATED_ARCHIVED_INDEX
from des_core.database.mysql_grants import (
    EVERY_TABLE,
    Grant,
    default_schema,
    find_missing,
    is_granted,
    read_grants,
)
from des_core.database.stored_time import to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import uid_digest
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.provenance import Origin, read_provenance
from des_core.ledger.watermark import read_watermark
from des_core.migration.base.migration import Migration
from des_core.migration.seed.seeding import (
    count_archived_above,
    count_archived_unseen,
    iterate_holes,
)
from des_core.migration.state.server_traps import find_traps, read_row_versions, server_version
from des_core.migration.state.tables import (
    CHILD_HINT,
    find_bare_children,
    find_created_at_index,
    table_values,
)
from des_core.migration.steps.column_look import look_at_column

if TYPE_CHECKING:
    from des_core.ledger.exceptions import NewException

SHOWN = 5


@dataclass(frozen=True, slots=True)
class GateFinding:
    """What one check found. `hint` is how to fix it.

    A warning is passed all the same: the operator has to know what stands on nobody's check.
    `subject` is the name of what was looked at.
    """

    check: str
    is_passed: bool
    text: str
    hint: str | None = None
    is_warning: bool = False
    subject: str | None = None


GateCheck = Callable[[Migration], GateFinding]


def check_gate(migration: Migration) -> list[GateFinding]:
    """Every check, also after one that failed, so that an operator sees all at once.

    Refused where the column cannot be read as yes or no: the checks would read it.
    """
    migration.schema.require_flag()
    return [check(migration) for check in CHECKS]


def preview_gate(migration: Migration) -> list[GateFinding]:
    """The checks that can be made before there is a watermark."""
    return [check(migration) for check in PREVIEWED]


def pass_gate(migration: Migration) -> list[GateFinding]:
    """The findings; Refused where a check fails, and the error lists each."""
    findings = check_gate(migration)
    require_passed(findings)
    return findings


def require_passed(findings: Sequence[GateFinding]) -> None:
    """Refused where one of the findings is not good."""
    failed = [finding for finding in findings if not finding.is_passed]
    if failed:
        raise Refused(
            "the column archived stays: " + "; ".join(finding.text for finding in failed),
            hint=next((finding.hint for finding in failed if finding.hint), None),
        )


def index_is_valid(migration: Migration) -> GateFinding:
    """Windows of created_at must not need an index that goes with the column."""
    index = find_created_at_index(migration)
    if index is None:
        return GateFinding(
            "index", False, "no valid index on created_at alone", "run: des-admin migrate up"
        )
    bare = find_bare_children(migration)
    if bare:
        problem = f"child tables without an index on created_at: {', '.join(bare[:SHOWN])}"
        hint = CHILD_HINT.format(column=migration.settings.database.created_at_column)
        return GateFinding("index", False, problem, hint)
    return GateFinding("index", True, f"{index.name} serves windows of created_at")


def watermark_is_explained(migration: Migration) -> GateFinding:
    """Nobody moved it ahead of what was packed, behind the program's back."""
    with migration.config.read() as tx:
        found = read_provenance(tx)
    if found.origin is Origin.FORWARD:
        return GateFinding("watermark", False, str(found.problem), found.hint)
    return GateFinding("watermark", True, "the audit trail explains where the watermark is")


def backup_is_good(migration: Migration) -> GateFinding:
    """A backup that was checked and is fresh brings the column back."""
    name = (migration.options.backup or "").strip() or None
    source = Target(migration.settings.direct_url, migration.source)
    verdict = judge_backup(migration.settings, source, migration.config, name, migration.now())
    return GateFinding(
        "backup",
        verdict.is_passed,
        verdict.text,
        verdict.hint,
        is_warning=verdict.is_warning,
        subject=verdict.name,
    )


def nothing_archived_above(migration: Migration) -> GateFinding:
    """A TRUE above the watermark means that the per-record packer is still at work."""
    with migration.config.read() as tx:
        watermark = read_watermark(tx).archived_until
    count = count_archived_above(migration, watermark, limit=1000)
    ahead = count_archived_above(migration, migration.reader.clock().now, limit=1000)
    if count.rows and count.rows == ahead.rows and ahead.is_exact:
        # A device's clock may have been decades ahead: waiting for that time helps nobody.
        return GateFinding(
            "above",
            True,
            f"marked archived in the future: {count} {one_or_many(count.rows, 'row', 'rows')}; the "
            "flag goes with the column, and the file is packed again when its time comes",
            "correct their created_at, if it is wrong",
            is_warning=True,
        )
    if count.rows:
        return GateFinding(
            "above",
            False,
            f"marked archived above the watermark {format_utc(watermark)}: {count} "
            f"{one_or_many(count.rows, 'row', 'rows')}",
            "stop the per-record packer; see: des-admin doctor",
        )
    unseen = count_archived_unseen(migration, limit=1000)
    if unseen.rows:
        return GateFinding(
            "above",
            True,
            f"marked archived, but without a created_at that is a time: {unseen} "
            f"{one_or_many(unseen.rows, 'row', 'rows')}; the flag goes with the column, and the "
            "way back marks them as not archived",
            "correct their created_at: des-admin sql show migration_archived_unseen",
            is_warning=True,
        )
    return GateFinding("above", True, "nothing above the watermark is marked archived")


def holes_are_exceptions(migration: Migration) -> GateFinding:
    """A FALSE below the seed that is no exception was not there when the watermark was seeded."""
    seed = read_job(migration.config, SEED_JOB)
    if seed is None or seed.cursor is None:
        problem = "the initial watermark is not known"
        return GateFinding("below", False, problem, "run: des-admin migrate up")
    strays: list[str] = []
    with migration.config.read() as tx:
        for page in iterate_holes(migration, seed.cursor, tx):
            strays += _unknown_to_ledger(migration, tx, page)
            if len(strays) >= SHOWN:
                break
    if strays:
        return GateFinding(
            "below",
            False,
            f"rows below the initial watermark {format_utc(seed.cursor)} are not archived and no "
            "exceptions: " + ", ".join(strays[:SHOWN]),
            "find late rows first: des-admin run; or: des-admin reconcile",
        )
    detail = "every row below the initial watermark is archived or an exception"
    return GateFinding("below", True, detail)


def nothing_uses_column(migration: Migration) -> GateFinding:
    """Views, triggers, other indexes and the like that mention the column, and sessions."""
    values = table_values(migration) | {
        "column_name": migration.archived_column,
        "own_index": CREATED_ARCHIVED_INDEX,
    }
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_column_users")
        users = [f"{row.kind} {row.name}" for row in tx.run(statement, values)]
    if users:
        return GateFinding(
            "users",
            False,
            "still used by " + ", ".join(users),
            "change or drop them, end those sessions, then run the same command again",
        )
    # What is hidden from this user was not in that answer.
    hidden = _hidden_kinds(migration)
    if hidden:
        return GateFinding(
            "users",
            False,
            f"{' and '.join(hidden)} are hidden from this user: one may use the column",
            "a DBA lets them be seen: des-admin sql grants admin --to USER",
        )
    if migration.reader.clock().hidden_sessions:
        return GateFinding(
            "users",
            True,
            "no view, trigger or index uses the column; what other users' sessions do is hidden",
            "grant pg_read_all_stats (PostgreSQL) or PROCESS (MySQL, MariaDB)",
            is_warning=True,
        )
    if _hides_other_databases(migration):
        return GateFinding(
            "users",
            True,
            "no view of this database, trigger, index or session uses the column; views of other "
            "databases on the server are hidden from this user",
            "let a DBA look into information_schema.views for those that name the table",
            is_warning=True,
        )
    return GateFinding("users", True, "no view, trigger, index or session uses the column")


def texts_name_column(migration: Migration) -> GateFinding:
    """Routines whose text alone is known, users of whole rows: named, for a person to judge."""
    found = _find_on_column(migration, "migration_column_texts")
    if not found:
        return GateFinding(
            "texts", True, "no routine names the column, nothing is made of whole rows"
        )
    return GateFinding(
        "texts",
        True,
        "these name the column in their text, or use whole rows: " + ", ".join(found),
        "read them: what uses the column fails once it is gone",
        is_warning=True,
    )


def column_can_come_back(migration: Migration) -> GateFinding:
    """What the way back does not make again is said before the column goes."""
    was = look_at_column(migration)
    lost = () if was is None else was.lost
    if not lost:
        return GateFinding("back", True, "the way back makes the column as it is")
    return GateFinding(
        "back",
        True,
        "the way back makes the column as it is, but for: " + ", ".join(lost),
        "write it down: it is yours to set again after des-admin migrate down",
        is_warning=True,
    )


def find_update_triggers(migration: Migration) -> GateFinding | None:
    """What fires when flags are written; it may change other columns, or refuse. None: nothing."""
    found = _find_on_column(migration, "migration_update_triggers")
    if not found:
        return None
    return GateFinding(
        "triggers",
        True,
        "each row whose flag is written fires " + ", ".join(found),
        "read what they do: rows keep their other columns only if these leave them alone",
        is_warning=True,
    )


def _find_on_column(migration: Migration, query: str) -> list[str]:
    values = table_values(migration) | {"column_name": migration.archived_column}
    with migration.source.read() as tx:
        statement = migration.source_catalog.get(query)
        return [f"{row.kind} {row.name}" for row in tx.run(statement, values)]


def _hidden_kinds(migration: Migration) -> list[str]:
    """What MySQL and MariaDB show only to those who may make it; the others show it to all."""
    if migration.source.dialect is not Dialect.MYSQL:
        return []
    table = migration.settings.database.table
    schema = table.schema or default_schema(migration.source)
    grants = _read_grants(migration)
    return [
        *find_missing(grants, {"views": "SHOW VIEW"}, schema, EVERY_TABLE),
        *find_missing(grants, {"triggers": "TRIGGER"}, schema, table.name),
    ]


def _hides_other_databases(migration: Migration) -> bool:
    """Whether MySQL or MariaDB may have a view in another database that this user does not see."""
    if migration.source.dialect is not Dialect.MYSQL:
        return False
    return not is_granted(_read_grants(migration), "SHOW VIEW", EVERY_TABLE, EVERY_TABLE)


def _read_grants(migration: Migration) -> list[Grant]:
    return read_grants(migration.source, migration.source_catalog.get("privileges_source"))


def server_is_able(migration: Migration) -> GateFinding:
    """The version drops a column from the catalogue alone, and the table takes the change."""
    version, is_mariadb = server_version(migration.source)
    traps = find_traps(migration.source.dialect, version, is_mariadb=is_mariadb)
    versions = read_row_versions(migration)
    if versions is not None and not versions.is_enough:
        hint = "rebuild it in a quiet hour: ALTER TABLE … FORCE, ALGORITHM=INPLACE, LOCK=NONE"
        return GateFinding("server", False, str(versions), hint)
    text = "; ".join(trap.text for trap in traps) or str(versions or "nothing is known against it")
    hints = "; ".join(trap.hint for trap in traps) or None
    refused = any(trap.refuses or trap.keeps_column for trap in traps)
    return GateFinding("server", not refused, text, hints, is_warning=bool(traps) and not refused)


# Those that can be made before there is a watermark.
PREVIEWED: tuple[GateCheck, ...] = (
    backup_is_good,
    nothing_uses_column,
    texts_name_column,
    column_can_come_back,
    server_is_able,
)
CHECKS: tuple[GateCheck, ...] = (
    index_is_valid,
    watermark_is_explained,
    nothing_archived_above,
    holes_are_exceptions,
    *PREVIEWED,
)


def _unknown_to_ledger(
    migration: Migration, tx: Transaction, page: list[NewException]
) -> list[str]:
    strays = []
    for item in page:
        key = {
            "uid_sha256": uid_digest(item.uid),
            "created_at": to_stored(item.created_at, tx.dialect),
        }
        if tx.run("migration_exception_known", key).first() is None:
            strays.append(item.uid[:80])
    return strays
