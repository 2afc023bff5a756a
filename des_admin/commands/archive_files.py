"""What `des-retriever` and `des-admin archive` share: has, get, ls; for export see there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import quote

from des_admin.context import Context
from des_admin.render.values import clipped, foreign
from des_core.basics.errors import (
    CheckFailed,
    ConfigError,
    DesError,
    Refused,
    StorageError,
    UsageError,
)
from des_core.storage.local_files import equal_files, give_name

if TYPE_CHECKING:
    from des_core.reading.retriever import Hit, Retriever, StoredFile, Wanted

DEFAULT_BITS = 8
MAX_NAME_BYTES = 200
FILE_MODE = 0o644


@dataclass(frozen=True)
class Place:
    """Where the archive is, if no configuration names it."""

    output_dir: str | None = None
    n_bits: int | None = None


def open_retriever(context: Context, place: Place) -> Retriever:
    """The archive of the configuration, or the one that the options name."""
    from des_core.basics.object_config import ObjectStoreConfig
    from des_core.packer_planner import PackerConfig
    from des_core.reading.archive_routing import n_bits_of_manifests
    from des_core.reading.lost_shards import Ledger
    from des_core.reading.retriever import Retriever
    from des_core.storage.directory import open_storage

    if place.output_dir is not None:
        config = PackerConfig(
            place.output_dir,
            n_bits=place.n_bits or DEFAULT_BITS,
            object_store=ObjectStoreConfig(endpoint=_endpoint()),
        )
        storage = open_storage(config)
        return Retriever(storage, place.n_bits or n_bits_of_manifests(storage) or DEFAULT_BITS)
    try:
        packer = context.settings.packer
    except ConfigError as exc:
        if context.options.config is not None:
            raise
        raise ConfigError(
            exc.message, hint="name the archive: --output-dir DIR [--n-bits N]", **exc.facts
        ) from exc
    storage = open_storage(packer.to_config())
    ledger = Ledger(lambda: context.config_database, lambda exc: _tell(context, exc))
    return Retriever(storage, place.n_bits or packer.n_bits, ledger)


def _endpoint() -> str | None:
    """As the tools of S3 name it. Its client takes one without TLS only if we name it, too."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _tell(context: Context, exc: DesError) -> None:
    context.warn(f"the ledger could not be asked, only manifests were: {exc}")


def parse_created_at(text: str | None) -> datetime | None:
    """A time without a zone is UTC."""
    from datetime import UTC

    from des_core.basics.timestamps import parse_time

    return None if text is None else parse_time(text, now=datetime.now(UTC))


def parse_day(text: str | None) -> date | None:
    """`2024-11-01`."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"not a day: {text!r}", hint="write it like 2024-11-01") from exc


def check_has(context: Context, retriever: Retriever, wanted: list[Wanted]) -> None:
    """Say for each uid whether the archive has it; exit 4 if one is not there, 20 if unknown."""
    hits = {hit.wanted: hit for hit in retriever.read_many(wanted)}
    rows = [(item.uid, hits.get(item)) for item in wanted]

    def draw(out: object) -> None:
        for uid, hit in rows:
            context.out.file.write(f"{_shown(context, uid)}\t{_words(hit)}\n")

    context.emit("archive-has", {"files": [_has(uid, hit) for uid, hit in rows]}, draw)
    for _, hit in rows:
        if hit is not None and hit.damage is not None:
            raise hit.damage
    absent = [uid for uid, hit in rows if hit is None]
    if absent:
        raise not_there(absent)


def _has(uid: str, hit: Hit | None) -> dict[str, object]:
    file = None if hit is None else hit.file
    unknown = {} if hit is None or hit.damage is None else {"unknown": str(hit.damage)}
    return {"uid": uid, "found": file is not None, **place_of(file), **unknown}


def _words(hit: Hit | None) -> str:
    if hit is None:
        return "no"
    return "unknown" if hit.file is None else f"yes\t{hit.file.shard}\t{hit.file.size_bytes}"


class Unwritable(Refused):
    """The target does not take this file under this name; another one it may."""


# What naming a file meets although one beside it could be written.
_OF_THE_NAME = {
    *(errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ELOOP, errno.EISDIR),
    *(errno.EPERM, errno.EACCES),
}


def write_file(
    pieces: Iterable[bytes], target: Path, *, force: bool, began: int | None = None
) -> bool:
    """Whole and checked, or not at all: the name appears after the last byte was verified.

    False where it was there already. `Refused` where a file of other content has the name, unless
    `force` is to replace it; `Unwritable` where the target does not take this file. What is no
    file, a device for example, is never replaced, nor what was written there since `began`, see
    `time_there`: two names may be one.
    """
    with contextlib.suppress(OSError):  # giving the name tells
        _require_replaceable(target)
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=".des-", delete=False) as draft:
            try:
                for piece in pieces:
                    draft.write(piece)
                draft.flush()
                os.fchmod(draft.fileno(), FILE_MODE & ~_umask())
                os.fsync(draft.fileno())
                return _name(draft.name, target, force=force, began=began)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(draft.name).unlink()
                raise
    except OSError as exc:
        kind = Unwritable if exc.errno == errno.EFBIG else UsageError
        raise kind(f"cannot write the file: {exc.strerror}", path=str(target)) from exc


def _require_replaceable(target: Path) -> None:
    if target.is_symlink() and not target.exists():
        raise Refused(
            "a symlink that leads nowhere is there; it was not touched",
            hint="remove it, or choose another name",
            path=str(target),
        )
    if target.exists() and not target.is_file():
        raise Refused("this is no regular file; it was not touched", path=str(target))


def _umask() -> int:
    """What this process keeps from others; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def time_there(directory: Path) -> int:
    """Now, in nanoseconds, as the directory's file system tells it in a file's times.

    A job that replaces files knows by it what it wrote itself, however many those are.
    """
    try:
        with NamedTemporaryFile(dir=directory, prefix=".des-") as probe:
            return os.fstat(probe.fileno()).st_mtime_ns
    except OSError as exc:
        raise UsageError(f"cannot write files: {exc.strerror}", path=str(directory)) from exc


def _name(draft: str, target: Path, *, force: bool, began: int | None) -> bool:
    try:
        if not force:
            return _name_anew(draft, target)
        if began is not None and _is_written_since(began, target):
            return _name_beside(draft, target)
        Path(draft).replace(target)
    except OSError as exc:
        if exc.errno not in _OF_THE_NAME:
            raise
        raise Unwritable(f"cannot write the file: {exc.strerror}", path=str(target)) from exc
    except StorageError as exc:
        raise Unwritable(exc.message, hint=exc.hint, **exc.facts) from exc
    return True


def _is_written_since(began: int, path: Path) -> bool:
    try:
        return path.lstat().st_mtime_ns >= began
    except FileNotFoundError:
        return False


def _name_beside(draft: str, target: Path) -> bool:
    try:
        return _name_anew(draft, target)
    except Refused as exc:
        raise Unwritable(
            "another file that was asked for has this name there; it was not touched",
            hint="get this one into a directory of its own",
            path=str(target),
        ) from exc


def _name_anew(draft: str, target: Path) -> bool:
    """Give the draft its name, and take its old one away; False if equal bytes are there."""
    is_new = True
    try:
        give_name(draft, str(target))
    except FileExistsError as exc:
        if not (target.is_file() and equal_files(draft, str(target))):
            raise Refused(
                "a file with other content is there already; it was not touched",
                hint="choose another name, or replace it: --force",
                path=str(target),
            ) from exc
        is_new = False
    with contextlib.suppress(FileNotFoundError):  # where the name was given by renaming
        Path(draft).unlink()
    return is_new


def file_name_of(uid: str) -> str:
    """A file name that any uid can have: percent-encoded, or a hash where that is no name."""
    raw = _bytes_of(uid)
    name = quote(raw, safe=" !#$&'()+,;=@[]{}~")
    if name in {"", ".", ".."} or len(name) > MAX_NAME_BYTES:
        return sha256(raw).hexdigest()
    return name


def _bytes_of(uid: str) -> bytes:
    """As the shard has it: another writer's uid need not be Unicode text."""
    try:
        return uid.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return uid.encode("utf-8", "surrogatepass")


def list_shards(context: Context, retriever: Retriever, day: date | None, limit: int) -> None:
    """Names of shards, one a line."""
    names = retriever.shards(day)
    shown = names[:limit]
    context.emit(
        "archive-ls-shards",
        {"total": len(names), "shards": shown},
        lambda out: context.out.file.writelines(f"{name}\n" for name in shown),
    )
    if len(names) > limit:
        context.say(f"only {limit:,} of {len(names):,} shards are shown: raise --limit")


def list_files(context: Context, retriever: Retriever, shards: list[str], limit: int) -> None:
    """Files of some shards: uid, size, shard; one a line."""

    def files() -> Iterator[StoredFile]:
        for shard in shards:
            yield from retriever.entries(shard)

    shown = list(islice(files(), limit + 1))
    more = len(shown) > limit
    shown = shown[:limit]
    payload = {
        "more": more,
        "files": [{"uid": file.uid, **place_of(file), "meta": file.entry.meta} for file in shown],
    }
    context.emit(
        "archive-ls",
        payload,
        lambda out: context.out.file.writelines(
            f"{_shown(context, file.uid)}\t{file.size_bytes}\t{file.shard}\n" for file in shown
        ),
    )
    if more:
        context.say(f"only the first {limit:,} files are shown: raise --limit")


def require_shard(retriever: Retriever, name: str) -> None:
    """UsageError unless the archive has it; DamagedShard if it had it."""
    if name in retriever.shards():
        return
    refuse_lost([lost for lost in retriever.lost() if lost == name])
    raise UsageError("there is no such shard", shard=name, hint="list them: ls")


def refuse_lost(names: list[str]) -> None:
    """DamagedShard for the first of them."""
    from des_core.reading.lost_shards import lost_shard

    for name in names:
        raise lost_shard(name)


def _shown(context: Context, uid: str) -> str:
    """Cut on a screen; whole for another program."""
    return clipped(uid) if context.out.is_terminal else foreign(uid)


def place_of(file: StoredFile | None) -> dict[str, object]:
    """Where a file is, for JSON."""
    if file is None:
        return {}
    return {"shard": file.shard, "size_bytes": file.size_bytes, "big_file": file.is_big}


def not_there(uids: list[str], hint: str | None = None) -> CheckFailed:
    """The error that names the first of them."""
    shown = ", ".join(clipped(uid, 100) for uid in uids[:5]) + (
        f" and {len(uids) - 5} more" if len(uids) > 5 else ""
    )
    return CheckFailed(
        "the archive does not have it" if len(uids) == 1 else "the archive does not have them all",
        hint=hint
        or "is it archived at all? des-admin migrate status; des-admin exceptions list "
        "--uid UID. A shard of another writer may have the day of its own clock: then leave "
        "created_at out",
        uid=shown,
    )
