"""Directories: where shards go and where sources come from."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from des_core.basics.errors import DesError
from des_core.basics.object_config import is_object_url
from des_core.checks.check import Check, failed, ok, skipped, warning
from des_core.checks.patient import Patient
from des_core.ledger.archive_table import SLICE_TABLE
from des_core.ledger.jobs import JOB_TABLE
from des_core.ledger.slices import dictionaries_on_record, is_begun
from des_core.migration.state.tables import has_table
from des_core.packing.forecast import forecast_shards
from des_core.progress.surroundings import judge_output
from des_core.reading.archive_routing import require_same_routing
from des_core.rows.amounts import count_waiting
from des_core.shard_io.dictionaries import DICTIONARIES_DIR, copies_of
from des_core.sources.files import LocalSources
from des_core.sources.objects import look_at
from des_core.sources.roots import SourceFailure, has_named_roots
from des_core.storage.dictionaries import list_dictionaries
from des_core.storage.directory import open_storage

RECENT_SLICES = 64
MIN_FREE_SHARE = 0.05
MIN_FREE_INODES = 10_000
MAX_SHOWN = 300
_TICK = timedelta(microseconds=1)


def check_output(patient: Patient) -> Check:
    """The output takes a file: written, synced, published, and never replaced."""
    config = patient.settings.packer.to_config()
    if has_table(patient.config, JOB_TABLE):
        remark = judge_output(patient.config, config)
        if remark is not None:
            return failed("output", remark.text, remark.hint)
    storage = open_storage(config)
    missing = storage.missing_rights()
    if missing:
        rights = ", ".join(missing)
        hint = "give them to the role; docs/scaling.md says what each is for"
        return failed("output", f"{config.output_dir}: the role lacks {rights}", hint)
    storage.probe_writable()
    return ok("output", f"{config.output_dir} is writable")


def check_dictionaries(patient: Patient) -> list[Check]:
    """Whether shards need dictionaries, and each is there twice; nothing where there are none."""
    config = patient.settings.packer.to_config()
    storage = open_storage(config)
    names = list_dictionaries(storage)
    there = {f"{DICTIONARIES_DIR}/{name}" for name in storage.list_names(DICTIONARIES_DIR)}
    lone = [name for name in names if not there.issuperset(copies_of(name))]
    if lone:
        detail = f"{len(lone)} of {len(names)} have one copy only, like {lone[0]}"
        return [warning("dictionaries", detail, "des-admin verify --repair")]
    if not names and (used := _used_dictionaries(patient)):
        detail = f"none is there, and shards of the newest slices need {used[0]}"
        hint = "bring _dictionaries/ back, which belongs beside the shards; then: des-admin verify"
        return [warning("dictionaries", detail, hint)]
    if config.dictionary:
        detail = f"on, {len(names)} there twice; readers that know none cannot read such shards"
        return [ok("dictionaries", detail)]
    if names:
        return [ok("dictionaries", f"off; shards go on needing the {len(names)} that are there")]
    return []


def _used_dictionaries(patient: Patient) -> list[str]:
    """None if the ledger cannot be asked, which is another check's to say."""
    with suppress(DesError):
        if has_table(patient.config, SLICE_TABLE):
            with patient.config.read() as tx:
                return sorted(dictionaries_on_record(tx, slices=RECENT_SLICES))
    return []


def check_routing(patient: Patient) -> Check:
    """`n_bits` is the one that the archive was begun with."""
    config = patient.settings.packer.to_config()
    require_same_routing(open_storage(config), config.n_bits)
    return ok("n_bits", f"{config.n_bits}, and no other in the archive's manifests")


def check_shards(patient: Patient) -> Check:
    """What shards will be like; before the first cycle there is still a choice."""
    n_bits = patient.settings.packer.n_bits
    forecast = forecast_shards(patient.reader, n_bits, patient.clock.now)
    if forecast is None:
        return skipped("shards", "the table has no rows to judge by")
    if forecast.advice is None:
        return ok("shards", forecast.describe())
    if is_begun(patient.config):
        return ok("shards", f"{forecast.describe()}, which cannot change any more")
    return warning("shards", forecast.describe(), forecast.advice)


def check_space(patient: Patient) -> Check:
    """Room for what waits, in bytes and in inodes."""
    path = patient.settings.packer.output_dir
    if is_object_url(path):
        return skipped("space", "an object store has no end")
    usage, inodes = shutil.disk_usage(path), os.statvfs(path).f_favail
    free = f"{_gib(usage.free)} of {_gib(usage.total)} free"
    hint = f"df -h {path}; df -i {path}"
    if usage.free < usage.total * MIN_FREE_SHARE:
        return warning("space", free, hint)
    # Some file systems make inodes as they go and report none.
    if 0 < inodes < MIN_FREE_INODES:
        return warning("space", f"{free}, but only {inodes:,} inodes", hint)
    return ok("space", free)


def check_room_for_waiting(patient: Patient) -> Check:
    """What waits would fit, even if nothing of it could be compressed."""
    mark = patient.watermark.archived_until
    waiting = count_waiting(patient.reader, mark, patient.target).size_bytes
    path = patient.settings.packer.output_dir
    if is_object_url(path):
        return skipped("room", "an object store has no end")
    free = shutil.disk_usage(path).free
    if waiting is None:
        return skipped("room", "the table has no sizes")
    if waiting > free:
        return warning("room", f"{_gib(waiting)} wait, {_gib(free)} are free", f"df -h {path}")
    return ok("room", f"{_gib(waiting)} wait, {_gib(free)} are free")


def check_source_roots(patient: Patient) -> Check:
    """The allowed roots can be read."""
    roots = patient.settings.packer.source_roots
    if not roots:
        hint = 'set packer.source_roots: ["/directory/of/the/files"]; ["/"] says: anywhere'
        if not has_named_roots(roots):
            return failed("source roots", "none are named, and root may read any file", hint)
        text = "none are named: whatever a row names is packed, if this user may read it"
        return warning("source roots", text, hint)
    for root in (Path(root) for root in roots if not is_object_url(root)):
        if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
            return failed(
                "source roots", f"{root} cannot be read", f"ls -ld {root}; findmnt {root}"
            )
        if not any(root.iterdir()):
            return failed("source roots", f"{root} is empty: not mounted?", f"findmnt {root}")
    return ok("source roots", ", ".join(roots))


def check_oldest_file(patient: Patient) -> Check:
    """The oldest waiting file can be read: a probe of what the next cycle will meet."""
    reader, mark = patient.reader, patient.watermark.archived_until
    first = reader.first_created_at(mark, patient.target)
    if first is None:
        return ok("source files", "nothing is pending")
    page = next(iter(reader.rows(first - _TICK, first)), [])
    if not page:
        return ok("source files", "nothing is pending")
    row = page[0]
    location = row.location or ""
    if is_object_url(location):
        return _check_oldest_object(patient, location)
    config = patient.settings.packer_config
    sources = LocalSources(config.big_file_threshold, config.source_roots, own=config.own_places)
    try:
        sources.look_at(row.location)
    except SourceFailure as exc:
        return warning(
            "source files",
            f"the oldest waiting file cannot be read: {_short(location)!r}: {exc.message}",
            "is the source mounted? des-admin exceptions list --group-by directory",
        )
    return ok("source files", "the oldest waiting file can be read")


def _check_oldest_object(patient: Patient, location: str) -> Check:
    try:
        look_at(location, patient.settings.packer.to_config().object_store)
    except SourceFailure as exc:
        return warning(
            "source files",
            f"the oldest waiting object cannot be read: {_short(location)!r}: {exc.message}",
            "may this role read it? des-admin exceptions list --group-by directory",
        )
    return ok("source files", "the oldest waiting object can be read")


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):,.1f} GiB"
