"""Whether to migrate, by this database's own numbers, and what stands in the way.

The rules are the guide's: many rows and archiving in order speak for the watermark; few rows,
holes all over the range and many files that fail one by one speak against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered, one_or_many
from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.ledger.exceptions import count_open
from des_core.migration.base.seed_plan import Count
from des_core.migration.gate.checks import find_update_triggers
from des_core.migration.plan import MOST_ROWS_TO_SCAN
from des_core.migration.seed.seeding import count_archived_above, count_holes, newest_archived
from des_core.migration.state.server_traps import (
    find_traps,
    read_row_versions,
    server_version,
    tried_versions,
)
from des_core.migration.state.tables import (
    CONFIG_TABLE,
    estimate_rows,
    has_table,
    read_archived_column,
    table_values,
)
from des_core.rows.flag_type import FLAG_HINT

MANY_ROWS, FEW_ROWS = 100_000_000, 10_000_000
# Of a hundred archived rows so many may wait behind younger ones before it is no order any more.
MOST_HOLES_SHARE = 0.01
MOST_FAILURES_SHARE = 0.01
FEW_FAILURES = 10_000
COUNTED = 100_000
EXCEPTION_TABLE = "des_archive_exception"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the rules are applied to. Counts stop at a limit; None: cannot be told cheaply.

    `is_begun`: there is a watermark already, and holes are what it was seeded with.
    """

    rows: int
    holes: Count | None
    late: int
    failing: int
    is_begun: bool


def check_advice(patient: Patient) -> Check:
    """The guide's question, when to migrate, answered with numbers and a recommendation."""
    migration = patient.migration
    if read_archived_column(migration) is None:
        return ok("advice", "the column archived is gone: the watermark is in use")
    numbers = _numbers(patient)
    against = _reasons_against(numbers)
    facts = _facts(numbers)
    if against:
        hint = "pack the holes first, in per-record mode: des-migrate --config FILE"
        if numbers.is_begun:
            hint = "des-admin exceptions list --group-by directory"
        return warning("advice", f"{facts}: rather not yet, {', and '.join(against)}", hint)
    if numbers.is_begun:
        return ok("advice", f"{facts}: the watermark is in use, and suits them")
    if numbers.rows >= MANY_ROWS:
        return ok("advice", f"{facts}: migrate, each of these rows costs an UPDATE otherwise")
    if numbers.rows < FEW_ROWS:
        return ok("advice", f"{facts}: not needed for speed, flags are no burden at this size")
    return ok("advice", f"{facts}: migrate if UPDATEs of the table are what is slow")


def check_obstacles(patient: Patient) -> Check:
    """What hangs on the table; the gate refuses what would break, this names what to think of."""
    migration = patient.migration
    if migration.schema.flag_fault is not None:
        return failed("obstacles", migration.schema.flag_fault, FLAG_HINT)
    statement = migration.source_catalog.get("migration_obstacles")
    with patient.source.read() as tx:
        found = [f"{row.kind} {row.name}" for row in tx.run(statement, table_values(migration))]
    triggers = find_update_triggers(migration)
    if triggers is not None:
        found.append(triggers.text)
    if found:
        text = f"to think of before a change of the table: {'; '.join(found)}"
        return warning("obstacles", text, "docs/migrations.md says what each of them means")
    return ok("obstacles", "no replication, foreign key, trigger or the like hangs on the table")


def check_traps(patient: Patient) -> Check:
    """What is known of this version of the server, and its budget of instant changes."""
    dialect = patient.source.dialect
    version, is_mariadb = server_version(patient.source)
    traps = find_traps(dialect, version, is_mariadb=is_mariadb)
    versions = read_row_versions(patient.migration)
    if versions is not None and not versions.is_enough:
        hint = "rebuild it in a quiet hour: ALTER TABLE … FORCE, ALGORITHM=INPLACE, LOCK=NONE"
        return failed("version", str(versions), hint)
    if traps:
        make = failed if any(trap.refuses for trap in traps) else warning
        text = "; ".join(trap.text for trap in traps)
        return make("version", text, "; ".join(trap.hint for trap in traps))
    known = f"nothing is known against it, {tried_versions(dialect, is_mariadb=is_mariadb)}"
    return ok("version", known + (f"; {versions}" if versions else ""))


def check_old_packer(patient: Patient) -> Check:
    """Nobody sets flags above the watermark any more."""
    migration = patient.migration
    if read_archived_column(migration) is None:
        return ok("old packer", "the column archived is gone")
    mark = patient.watermark.archived_until
    count = count_archived_above(migration, mark, limit=1000)
    if count.rows:
        return warning(
            "old packer",
            f"marked archived above the watermark {format_utc(mark)}: {count} "
            f"{one_or_many(count.rows, 'row', 'rows')}; "
            "the per-record packer still writes, or wrote until lately",
            "stop it; these rows are packed again, which does no harm: des-admin run",
        )
    return ok("old packer", "nothing above the watermark is marked archived")


def _numbers(patient: Patient) -> Numbers:
    migration = patient.migration
    rows = estimate_rows(migration) or 0
    if has_table(patient.config, EXCEPTION_TABLE):
        with patient.config.read() as tx:
            counts = count_open(tx)
    else:
        counts = []
    reasons = {item.reason: item.files for item in counts}
    holes: Count | None = None
    is_begun = has_table(patient.config, CONFIG_TABLE)
    if is_begun:
        holes = Count(reasons.get("pending_at_seed", 0))
    elif rows <= MOST_ROWS_TO_SCAN:  # else it would be read from end to end, each time
        newest = newest_archived(migration)
        holes = Count(0) if newest is None else count_holes(migration, newest, COUNTED)
    late = reasons.get("late", 0)
    failing = sum(reasons.values()) - late - reasons.get("pending_at_seed", 0)
    return Numbers(rows, holes, late, failing, is_begun)


def _reasons_against(numbers: Numbers) -> list[str]:
    base = max(numbers.rows, 1)
    reasons = []
    if not numbers.is_begun and numbers.holes and numbers.holes.rows > base * MOST_HOLES_SHARE:
        reasons.append(
            "archiving is not in order: rows are pending behind newer ones that are archived"
        )
    if numbers.failing > max(base * MOST_FAILURES_SHARE, FEW_FAILURES):
        reasons.append("many files fail one by one")
    return reasons


def _facts(numbers: Numbers) -> str:
    holes = "holes not counted before the cutover: des-admin migrate plan does"
    if numbers.holes is not None:
        noun = one_or_many(numbers.holes.rows, "hole", "holes")
        holes = f"{numbers.holes} {noun} below the newest archived row"
    return (
        f"about {numbered(numbers.rows, 'row')}, {holes}, {numbers.late:,} late, "
        f"{numbers.failing:,} failing"
    )
