"""Where shards live: a directory here, a bucket in `object_storage`, behind the same `Storage`.

Whatever is written begins as a draft in the directory of its final name. It gets that name when it
is durable, and never takes the place of a file that has it already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from datetime import date
from typing import Protocol

from des_core.basics.errors import StorageError
from des_core.basics.object_config import is_object_url
from des_core.basics.routing import day_text
from des_core.basics.storage_errors import storage_error
from des_core.packer_planner import PackerConfig
from des_core.shard_io.blobs import Blob, LocalBlob
from des_core.storage.drafts import Draft, LocalDraft, draft_run
from des_core.storage.layout import (
    DAMAGED_DIR,
    OUTPUT,
    SUBDIRECTORIES,
    ShardsByBucket,
    set_aside_as,
)
from des_core.storage.listing import ShardListing, group_shards
from des_core.storage.local_files import (
    equal_files,
    give_name,
    move_without_replacing,
    remove_dead,
    sync_path,
)

DIRECTORY_MODE = 0o750


class Storage(Protocol):
    """A place for shards and what belongs to them. Names are relative, like `_bigFiles/ab…`.

    `scratch_dir` is a local directory for temporary files. `publishes_at_once` is None where
    publishing is a matter of microseconds, and otherwise how many may be under way.
    """

    output_dir: str
    scratch_dir: str
    publishes_at_once: int | None

    def create_draft(self, directory: str = "") -> Draft:
        """A new draft for a name in that directory."""

    def publish(self, draft: Draft, name: str) -> bool:
        """Give a synced draft its name; False if a file of equal bytes has it already."""

    def sync_directory(self, *names: str) -> None:
        """Make names durable: after this, what was published survives a power cut.

        `names` are directories of `layout` in which something was published, none for all.
        """

    def list_shards(self, days: Collection[date] | None = None) -> ShardsByBucket:
        """The shards of these days, or all, by (day, bucket), each in the order of parts.

        Whoever asks for one day after the other takes a `listing`.
        """

    def listing(self) -> ShardListing:
        """To ask for many days, each at the cost of its own shards."""

    def list_names(self, directory: str) -> list[str]:
        """The names below a directory of `layout`; none if there is no such directory."""

    def open(self, name: str) -> Blob:
        """`FileNotFoundError` if there is none."""

    def exists(self, name: str) -> bool:
        """Whether a file has that name."""

    def clean_leftovers(self, run_id: str | None = None) -> int:
        """Remove the drafts of writers that no longer live; how many. Only those of `run_id`."""

    def clean_scratch(self, run_id: str | None = None) -> int:
        """The same, of drafts in `scratch_dir` alone."""

    def set_aside(self, name: str) -> str:
        """Move a damaged shard or manifest to `_damaged/`, durably; its new name there."""

    def probe_writable(self) -> None:
        """`StorageError` unless it can be written, and nothing is ever replaced."""

    def missing_rights(self) -> list[str]:
        """What whoever runs this may not do there, as the place itself calls it."""


class DirectoryStorage:
    """`output_dir`: shards flat in it, big files and manifests in directories of their own."""

    def __init__(self, output_dir: str, run_id: str = "0") -> None:
        self.output_dir = os.path.abspath(output_dir)
        self.scratch_dir = self.output_dir
        self.publishes_at_once: int | None = None
        self._run_id = run_id
        self._synced_once: set[str] = {OUTPUT}
        if not os.path.isdir(self.output_dir):
            raise StorageError(
                "the output directory does not exist or is not a directory",
                path=self.output_dir,
                hint="is it mounted (findmnt)? Create it for a new archive only, or correct "
                "packer.output_dir",
            )

    def create_draft(self, directory: str = "") -> LocalDraft:
        return LocalDraft(self._directory(directory), self._run_id)

    def publish(self, draft: Draft, name: str) -> bool:
        """1. link, which fails where the name is taken; 2. the draft's own name goes.

        A file system without hard links gets a rename that does not replace.
        """
        target = f"{self.output_dir}/{name}"
        try:
            give_name(draft.path, target)
        except FileExistsError as exc:
            self._check_equal(draft.path, target, exc)
            draft.discard()
            return False
        except OSError as exc:
            raise storage_error("cannot publish a file", exc, target) from exc
        draft.discard()
        return True

    def sync_directory(self, *names: str) -> None:
        """A directory that another process made may not be durable yet itself: at the first time
        its own name is synced, too."""
        chosen = names or (OUTPUT, *SUBDIRECTORIES)
        if OUTPUT not in chosen and not self._synced_once.issuperset(chosen):
            chosen = (OUTPUT, *chosen)
        for name in chosen:
            path = f"{self.output_dir}/{name}"
            if name and not os.path.isdir(path):
                continue
            sync_path(path)
            self._synced_once.add(name)

    def list_shards(self, days: Collection[date] | None = None) -> ShardsByBucket:
        """One pass over the directory, whatever the number of days."""
        if days is None:
            return group_shards(self._names())
        prefixes = {day_text(day) for day in days}
        return group_shards(name for name in self._names() if name[:8] in prefixes)

    def listing(self) -> ShardListing:
        return ShardListing(self._names, self.exists)

    def list_names(self, directory: str) -> list[str]:
        try:
            return os.listdir(f"{self.output_dir}/{directory}")
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise storage_error("cannot list a directory", exc, directory) from exc

    def open(self, name: str) -> Blob:
        return LocalBlob(f"{self.output_dir}/{name}")

    def exists(self, name: str) -> bool:
        return os.path.lexists(f"{self.output_dir}/{name}")

    def clean_leftovers(self, run_id: str | None = None) -> int:
        """A draft whose lock can be had belongs to nobody alive, on this machine or another."""
        return self._clean(run_id, ("", *SUBDIRECTORIES))

    def clean_scratch(self, run_id: str | None = None) -> int:
        """Which is the output directory."""
        return self._clean(run_id, ("",))

    def _clean(self, run_id: str | None, directories: Collection[str]) -> int:
        removed = 0
        for directory in directories:
            for name in self.list_names(directory):
                run = draft_run(name)
                if run is not None and run_id in (None, run):
                    removed += remove_dead(f"{self.output_dir}/{directory}/{name}")
        return removed

    def set_aside(self, name: str) -> str:
        directory = self._directory(DAMAGED_DIR)
        first = f"{self.output_dir}/{set_aside_as(name)}"
        try:
            aside = move_without_replacing(f"{self.output_dir}/{name}", first)
        except OSError as exc:
            raise storage_error("cannot set a file aside", exc, name) from exc
        sync_path(directory)
        self.sync_directory()
        return f"{DAMAGED_DIR}/{os.path.basename(aside)}"

    def missing_rights(self) -> list[str]:
        """None: a directory is written or not, and `probe_writable` says which."""
        return []

    def probe_writable(self) -> None:
        """Write and sync a tiny file, and remove it. `StorageError` tells what fails."""
        draft = self.create_draft()
        try:
            draft.file.write(b"probe")
            draft.sync()
        except OSError as exc:
            raise storage_error("cannot write a file", exc, self.output_dir) from exc
        finally:
            draft.discard()

    def _names(self) -> Iterator[str]:
        try:
            with os.scandir(self.output_dir) as entries:
                for entry in entries:
                    yield entry.name
        except OSError as exc:
            raise storage_error("cannot list the output directory", exc, self.output_dir) from exc

    def _directory(self, name: str) -> str:
        path = f"{self.output_dir}/{name}" if name else self.output_dir
        if name and not os.path.isdir(path):
            try:
                os.makedirs(path, DIRECTORY_MODE, exist_ok=True)
            except OSError as exc:
                raise storage_error("cannot create a directory", exc, path) from exc
            sync_path(self.output_dir)
        return path

    def _check_equal(self, draft_path: str, target: str, exc: OSError) -> None:
        if not equal_files(draft_path, target):
            raise StorageError(
                "a file with this name and other content is there already; it was not touched",
                path=target,
                hint="find out who else writes to packer.output_dir; "
                "des-admin verify tells whether that file is sound",
            ) from exc


def open_storage(
    config: PackerConfig, run_id: str = "0", check: Callable[[], None] = lambda: None
) -> Storage:
    """The place that `output_dir` names: a directory, or a bucket of an object store.

    `check` is called while a request is tried again, and raises to interrupt.
    """
    if not is_object_url(config.output_dir):
        return DirectoryStorage(config.output_dir, run_id)
    from des_core.storage.bucket import ObjectStorage

    return ObjectStorage(config, run_id, check)
