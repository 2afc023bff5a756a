"""What the backup commands share: which databases, which directory, recording, progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.basics.errors import DatabaseUnreachable, DesError, UsageError
from des_core.basics.object_config import is_object_url

if TYPE_CHECKING:
    from des_admin.context import Context
    from des_core.backup.check import CheckOptions
    from des_core.backup.dump import Stored
    from des_core.backup.findings import Level
    from des_core.backup.identity import Target
    from des_core.backup.live import Live
    from des_core.backup.presence import Surroundings
    from des_core.backup.store import Entry
    from des_core.database.connections import Database


BEFORE_ALL = datetime(1000, 1, 1, tzinfo=UTC)


class Which(StrEnum):
    """Which of the two databases; `all` is both, once where they are the same."""

    SOURCE = "source"
    CONFIG = "config"
    ALL = "all"


@dataclass(frozen=True)
class Place:
    """One configured database and what it is here."""

    url_text: str
    roles: tuple[str, ...]

    @property
    def label(self) -> str:
        return " and ".join(self.roles)


class BackupSession:
    """One run of a backup command; close it."""

    def __init__(self, context: Context, directory: Path | None) -> None:
        self.context = context
        self._directory = directory
        self._opened: dict[str, Target] = {}
        self._closing = ExitStack()

    def __enter__(self) -> BackupSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def directory(self) -> Path | None:
        """`--dir`, else backup.dir."""
        configured = self.context.settings.backup.dir
        return self._directory or (None if configured is None else Path(configured))

    def require_directory(self) -> Path:
        if self.directory is None:
            raise UsageError(
                "where do the backups lie?", hint="set backup.dir, or add --dir DIRECTORY"
            )
        return self.directory

    def take_up(self) -> None:
        """Give their names to backups that were finished by a process that ended too early."""
        from des_core.backup.store import take_up

        directory = self.directory
        if directory is not None and directory.is_dir():
            for name in take_up(directory):
                self.context.say(f"{name} was finished, but had no name yet: it has now")

    def places(self, which: Which) -> list[Place]:
        """The databases meant, each once."""
        from des_core.basics.database_urls import is_same_place

        settings = self.context.settings
        source, config = settings.direct_url, settings.config_url
        if is_same_place(settings.source_url, config):
            return [Place(source, ("source", "config"))]
        both = [Place(source, ("source",)), Place(config, ("config",))]
        return [place for place in both if which is Which.ALL or which.value in place.roles]

    def open(self, url_text: str) -> Target:
        """The database, connected on first use."""
        from des_core.backup.identity import open_target

        if url_text not in self._opened:
            target = open_target(url_text)
            self._closing.callback(target.database.close)
            self._opened[url_text] = target
        return self._opened[url_text]

    def of_place(self, place: Place, entries: list[Entry]) -> list[Stored]:
        """The finished backups of this database, newest first."""
        from des_core.backup.identity import name_of_url
        from des_core.backup.store import is_of_database

        dialect, database = name_of_url(place.url_text)
        stored = (entry.stored for entry in entries if entry.stored is not None)
        return [item for item in stored if is_of_database(item.manifest, dialect, database)]

    def place_of(self, stored: Stored) -> Place:
        """The configured database that this is a backup of; else the one of its role."""
        from des_core.backup.identity import name_of_url

        places = self.places(Which.ALL)
        server = stored.manifest.server
        for place in places:
            if name_of_url(place.url_text) == (server.dialect, server.database):
                return place
        roles = set(stored.manifest.roles)
        return next((place for place in places if roles & set(place.roles)), places[0])

    def newest(self, place: Place, entries: list[Entry]) -> Entry | None:
        """The newest backup of this database; what was never finished does not count."""
        newest = next(iter(self.of_place(place, entries)), None)
        return next((entry for entry in entries if entry.stored is newest and newest), None)

    def surroundings(
        self, entry: Entry, entries: list[Entry], *, max_age_hours: float | None, offline: bool
    ) -> Surroundings:
        """What the backup is held against: its own database, by the role that it has here."""
        from des_core.backup.presence import Surroundings
        from des_core.backup.store import previous_of

        roles = entry.stored.manifest.roles if entry.stored else ("source",)
        live, problem = self._live(roles, offline=offline)
        settings = self.context.settings
        return Surroundings(
            now=self.context.now,
            max_age_hours=max_age_hours or settings.backup.max_age_hours,
            previous=None if entry.stored is None else previous_of(entries, entry.stored),
            live=live,
            unreachable=problem,
            made_hash=None if live is None else self._made_hash(entry.name),
        )

    def foreign_surroundings(self, *, max_age_hours: float | None, offline: bool) -> Surroundings:
        """For a backup that another tool made: of the server of the source."""
        from des_core.backup.presence import Surroundings

        live, problem = self._live(("source",), offline=offline)
        allowed = max_age_hours or self.context.settings.backup.max_age_hours
        return Surroundings(
            now=self.context.now, max_age_hours=allowed, live=live, unreachable=problem
        )

    def required_tables(self, live: Live | None) -> tuple[str, ...]:
        """What must be in a dump of the source: the table, and ours that are beside it."""
        from des_core.backup.numbers import find_counted_tables

        settings = self.context.settings.database
        ours: tuple[str, ...] = ()
        if live is not None and "config" in self.places(Which.SOURCE)[0].roles:
            database = live.target.database
            ours = find_counted_tables(database, settings, with_files=False).ours
        return (settings.table.name, *ours)

    def count_until(self, live: Live) -> Callable[[datetime], int]:
        """How many rows of the table the live database has, created up to a moment."""
        from des_core.rows.reader import SourceReader

        reader = SourceReader(live.target.database, self.context.settings.database)
        return lambda moment: reader.count(BEFORE_ALL, moment)

    @property
    def source_name(self) -> str:
        """The name of the source database."""
        from des_core.backup.identity import name_of_url

        return name_of_url(self.context.settings.direct_url)[1]

    def check_options(self, level: Level, jobs: int, surroundings: Surroundings) -> CheckOptions:
        """With the server on which a restore is tried: backup.scratch_url, else its own."""
        from des_core.backup.check import CheckOptions

        scratch = self.context.settings.backup.scratch_url
        if scratch is not None and level >= 3:
            target: Target | None = self.open(scratch.get_secret_value())
        else:
            target = None if surroundings.live is None else surroundings.live.target
        return CheckOptions(level=level, jobs=jobs, scratch_target=target)

    def record(self, write: Callable[[Database], bool]) -> None:
        """Write to the audit trail, where it can be reached and is there already."""
        try:
            was_recorded = write(self.open(self.context.settings.config_url).database)
        except DesError as exc:
            # What was made or checked is there all the same: it can be checked again.
            self.context.warn(f"not recorded: {exc.message}; later run: des-admin backup check")
            return
        if not was_recorded:
            self.context.say(
                "not recorded: there is no audit trail before `des-admin migrate up`; "
                "afterwards run: des-admin backup check"
            )

    def _made_hash(self, name: str) -> str | None:
        from des_core.backup.record import made_hash

        try:
            return made_hash(self.open(self.context.settings.config_url).database, name)
        except DatabaseUnreachable:
            return None  # `record` warns of it

    def _live(self, roles: tuple[str, ...], *, offline: bool) -> tuple[Live | None, str | None]:
        from des_core.backup.live import read_live

        if offline:
            return None, "--offline"
        place = next(
            (place for place in self.places(Which.ALL) if set(place.roles) & set(roles)), None
        )
        if place is None:
            return None, "the configuration names no such database"
        try:
            output_dir = self.context.settings.packer.output_dir
            near = () if is_object_url(output_dir) else (Path(output_dir),)
            return read_live(self.open(place.url_text), near), None
        except DatabaseUnreachable as exc:
            return None, exc.message
