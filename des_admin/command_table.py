"""The commands of `des-admin` in the order of its help: what each is for, and where it is.

The first page of the help and a misspelt command need names and one line each, not twenty modules
and their two hundred options. A test compares these lines with those of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A command, or a group of them; `extensions` are modules that add to the group."""

    name: str
    summary: str
    is_group: bool = False
    extensions: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """What must be imported before it can run."""
        return tuple(f"des_admin.commands.{module}" for module in (self.name, *self.extensions))


def _group(name: str, summary: str, *extensions: str) -> Entry:
    return Entry(name, summary, is_group=True, extensions=extensions)


PANELS: dict[str, tuple[Entry, ...]] = {
    "Begin": (
        Entry(
            "demo",
            "Watch a whole cutover on made-up files: migrate, pack, report, verify, roll back.",
        ),
        Entry("init", "Write a configuration file. On a terminal it asks for what is missing."),
        Entry(
            "doctor", "Check connections, schema, watermark, runner, exceptions, disk and clocks."
        ),
        _group("config", "Look at the configuration."),
        _group(
            "migrate",
            "Move from the column archived to the watermark, and back.",
            "migrate_alembic",
        ),
        _group("plan", "Estimate capacity and compression; changes nothing."),
    ),
    "Every day": (
        Entry("run", "Pack the files between watermark and target, then move the watermark."),
        Entry("status", "Show the state in a few lines, with the next step."),
        Entry(
            "progress",
            "Show watermark, target, what waits, what is archived, exceptions, rates and time "
            "left.",
        ),
        _group("watermark", "See the watermark, move it by hand, and read who moved it."),
        _group(
            "exceptions",
            "Files for which the watermark's answer is wrong: list, try again, close.",
            "exceptions_retry",
        ),
        _group("sources", "The source files of what is packed."),
        _group("compliance", "Keep the column archived in step, for who must read it."),
        _group("lock", "Who may write now and until when; take it from somebody who is gone."),
    ),
    "Check and read back": (
        Entry(
            "verify",
            "Read every shard whole and compare it with the ledger, the least recently verified "
            "first.",
        ),
        Entry("reconcile", "Find rows below the watermark that no shard and no exception knows."),
        _group("backup", "Make backups that can be trusted, check them, list them.", "backup_keep"),
        _group("ledger", "What was packed, as the database has it."),
        _group(
            "archive", "Read files back from the archive: has, get, ls, export (as des-retriever)."
        ),
    ),
    "For other programs": (
        Entry(
            "exporter", "Serve metrics about the archive, read from the ledger and the watermark."
        ),
        _group("deploy", "Write the files that run and watch an archive."),
        _group("sql", "Read the SQL that this program runs."),
    ),
}
