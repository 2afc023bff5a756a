"""All checks in order. What cannot be examined because something before it failed is skipped.

None is waited for without end: a database may be stopped, a table locked, a directory on a disk
that does not answer. What a check that did not answer stands for is not asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from des_core.basics.errors import DesError, NoAnswer
from des_core.basics.time_limit import within
from des_core.checks import archive_state, cutover, databases, places, privileges, sessions
from des_core.checks.check import Check, Status, failed, skipped
from des_core.checks.patient import Patient
from des_core.settings.config import Settings

# One check may ask a database several things; connecting alone is given 10 s.
CHECK_LIMIT_S = 20.0
ALL_LIMIT_S = 90.0
HANGS = "see what holds it up: a lock on a table, a server that is stopped, a slow statement"
HANGING = dict.fromkeys(
    ("output", "n_bits", "dictionaries", "shards", "space", "source roots", "source files"),
    "the directory or the object store does not answer: look at its mount and at its server",
)
Examiner = Callable[[Patient], Check | list[Check]]

# Name, examiner, and the checks without which it makes no sense.
EXAMINATION: tuple[tuple[str, Examiner, tuple[str, ...]], ...] = (
    ("source", databases.check_source, ()),
    ("config", databases.check_config, ()),
    ("table", databases.check_table, ("source",)),
    ("privileges", privileges.check_privileges, ("table", "config")),
    ("created_at", databases.check_times, ("table",)),
    ("index", databases.check_index, ("table",)),
    ("revisions", databases.check_revisions, ("source", "config")),
    ("clock", databases.check_clock, ("table",)),
    ("transactions", databases.check_transactions, ("table",)),
    ("pooler", sessions.check_pooler, ("source",)),
    ("limits", sessions.check_limits, ("source", "config")),
    ("writes", databases.check_writes, ("config",)),
    ("durability", databases.check_durability, ("config",)),
    ("watermark", archive_state.check_watermark, ("table", "revisions")),
    ("memory", archive_state.check_memory, ("table", "revisions")),
    ("rows", archive_state.check_rows, ("index", "revisions")),
    ("lock", archive_state.check_lock, ("config",)),
    ("runner", archive_state.check_runner, ("watermark",)),
    ("exceptions", archive_state.check_exceptions, ("revisions",)),
    ("backup", archive_state.check_backup, ("table", "revisions")),
    ("audit trail", archive_state.check_trail, ("revisions",)),
    ("advice", cutover.check_advice, ("table",)),
    ("obstacles", cutover.check_obstacles, ("table",)),
    ("version", cutover.check_traps, ("table",)),
    ("old packer", cutover.check_old_packer, ("index", "watermark")),
    ("output", places.check_output, ()),
    ("n_bits", places.check_routing, ("output",)),
    ("dictionaries", places.check_dictionaries, ("output",)),
    ("shards", places.check_shards, ("table", "revisions")),
    ("space", places.check_space, ("output",)),
    ("room", places.check_room_for_waiting, ("output", "watermark")),
    ("source roots", places.check_source_roots, ()),
    ("source files", places.check_oldest_file, ("watermark",)),
)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, as soon as its answer is there. Never raises for what it finds."""
    patient = Patient(settings)
    broken: set[str] = set()
    end = time.monotonic() + ALL_LIMIT_S
    try:
        for name, examiner, needs in EXAMINATION:
            missing = sorted(broken & set(needs))
            found = _examine(patient, name, examiner, missing, end - time.monotonic())
            if any(check.status in {Status.FAILED, Status.SKIPPED} for check in found):
                broken.add(name)
            yield from found
    finally:
        patient.close()


def _examine(
    patient: Patient, name: str, examiner: Examiner, missing: list[str], left_s: float
) -> list[Check]:
    if missing:
        return [skipped(name, f"cannot be examined: {', '.join(missing)}")]
    if left_s <= 0:
        taken = f"not examined: the checks before it took {ALL_LIMIT_S:.0f} s"
        return [failed(name, taken, HANGS)]
    try:
        found = within(min(CHECK_LIMIT_S, left_s), lambda: examiner(patient))
    except NoAnswer as exc:
        found = failed(name, exc.message, HANGING.get(name, HANGS))
    except DesError as exc:
        found = failed(name, str(exc), exc.hint or "des-admin doctor --verbose")
    except OSError as exc:
        found = failed(name, f"{exc.strerror}: {exc.filename}", "look at the path")
    return [found] if isinstance(found, Check) else found
