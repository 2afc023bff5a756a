"""When so many files fail that the source itself must be wrong: a disk that is not mounted.

A cycle stops before the watermark moves over a slice, if

- more than `max_failures` files of the slice failed; or
- since the cycle began 100 files or more failed, and more than `max_failure_ratio` of all that it
  tried; or
- two slices or more failed one after another, each of them whole, with 10 files or more. What an
  earlier run left behind counts: the ledger knows its slices.

`max_failure_ratio` 1 lifts the last two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from des_core.basics.errors import TooManyFailures
from des_core.basics.wording import numbered
from des_core.ledger.slices import SliceRecord
from des_core.records import FileFailure
from watermark_orchestrator.archive import CyclePolicy

# Below this many failures a share of them says nothing about the source as a whole.
RATIO_COUNTS_FROM = 100
# So many files of whole slices in a row are no accident.
IN_A_ROW = 10
# How far back a run looks for slices that failed whole.
LOOKS_BACK = 20


@dataclass(slots=True)
class Brake:
    """What a cycle has tried so far. `in_a_row` files of whole slices failed without a success."""

    policy: CyclePolicy
    in_a_row: int = 0
    tried: int = 0
    failed: int = 0

    def judge(self, rows: int, failures: Sequence[FileFailure]) -> None:
        """TooManyFailures for a slice of so many rows, of which these failed so far."""
        failed, ratio = len(failures), self.policy.max_failure_ratio
        whole = self.failed + failed
        is_whole_slice = failed == rows and self.in_a_row > 0
        if failed > self.policy.max_failures:
            raise _too_many(f"{failed:,} of {numbered(rows, 'file')} of a slice", failures[-1])
        if whole >= RATIO_COUNTS_FROM and whole > ratio * (self.tried + rows):
            tried = f"{whole:,} of {numbered(self.tried + rows, 'file')} since the cycle began"
            raise _too_many(tried, failures[-1])
        if ratio < 1 and failed and is_whole_slice and self.in_a_row + failed >= IN_A_ROW:
            raise _too_many(
                f"{numbered(self.in_a_row + failed, 'file')} one after another", failures[-1]
            )

    def add(self, rows: int, failed: int) -> None:
        """A slice was packed, and what failed became exceptions."""
        self.tried += rows
        self.failed += failed
        if rows:
            self.in_a_row = self.in_a_row + failed if failed == rows else 0


def count_in_a_row(newest: Iterable[SliceRecord], worker: int) -> int:
    """Files of the newest windows of that worker, newest first, of which not one was packed."""
    total = 0
    for record in newest:
        if record.kind != "window" or record.worker != worker or not record.files_in:
            continue
        if record.files_out:
            break
        total += record.files_failed
    return total


def _too_many(what: str, last: FileFailure) -> TooManyFailures:
    return TooManyFailures(
        f"{what} could not be packed; the watermark was moved no further",
        hint="is the disk of the sources mounted? See: des-admin doctor; "
        "des-admin exceptions list. If so many files really are lost, raise "
        "migration.max_failures, and migration.max_failure_ratio to 1",
        reason=last.reason,
        example=last.location,
        error=last.error,
    )
