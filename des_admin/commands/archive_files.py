"""What `des-retriever` and `des-admin archive` share: has, get, ls; for export see there."""

from __future__ import annotations

import contextlib
import os
import sys
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
from des_admin.render.values import foreign
from des_core.basics.errors import CheckFailed, ConfigError, Refused, UsageError
from des_core.storage.local_files import equal_files, give_name

if TYPE_CHECKING:
    from des_core.reading.retriever import Retriever, StoredFile, Wanted

DEFAULT_BITS = 8
MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Place:
    """Where the archive is, if no configuration says so."""

    output_dir: str | None = None
    n_bits: int | None = None


def open_retriever(context: Context, place: Place) -> Retriever:
    """The archive of the configuration, or the one that the options name."""
    from des_core.packer_planner import PackerConfig
    from des_core.reading.archive_routing import n_bits_of_manifests
    from des_core.reading.retriever import Retriever
    from des_core.storage.directory import open_storage

    if place.output_dir is not None:
        config = PackerConfig(place.output_dir, n_bits=place.n_bits or DEFAULT_BITS)
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
    return Retriever(storage, place.n_bits or packer.n_bits)


def read_list(path: Path) -> list[Wanted]:
    """Lines of `uid`, or `uid<TAB>created_at`, from a file or (`-`) from stdin.

    Empty lines and those that begin with # are left out.
    """
    from des_core.reading.retriever import Wanted

    wanted = []
    for number, line in enumerate(_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        uid, tab, moment = line.partition("\t")
        try:
            wanted.append(Wanted(uid, parse_created_at(moment) if tab else None))
        except UsageError as exc:
            raise UsageError(exc.message, hint=exc.hint, file=str(path), line=number) from exc
    return wanted


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
    """Say for each uid whether the archive has it; exit 4 if one is not there."""
    found = retriever.find_many(wanted)
    rows = [(item.uid, found.get(item.uid)) for item in wanted]
    payload = {
        "files": [{"uid": uid, "found": file is not None, **_place(file)} for uid, file in rows]
    }

    def draw(out: object) -> None:
        for uid, file in rows:
            where = "no" if file is None else f"yes\t{file.shard}\t{file.size_bytes}"
            context.out.file.write(f"{foreign(uid)}\t{where}\n")

    context.emit("archive-has", payload, draw)
    absent = [uid for uid, file in rows if file is None]
    if absent:
        raise _not_there(absent)


def get_one(
    context: Context, retriever: Retriever, item: Wanted, to: Path | None, *, force: bool
) -> None:
    """Write one file to a path, or to stdout. Other content there is replaced only by `force`."""
    file = retriever.find(item.uid, item.created_at)
    if file is None:
        raise _not_there([item.uid])
    if to is not None:
        target = to / file_name_of(file.uid) if to.is_dir() else to
        write_file(retriever.stream(file), target, force=force)
        _report(context, [(file, target)])
        return
    if context.wants_json:
        raise UsageError("the content goes to stdout, so --output json needs --to FILE")
    for piece in retriever.stream(file):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def get_many(
    context: Context, retriever: Retriever, wanted: list[Wanted], to: Path, *, force: bool
) -> None:
    """Write many files into a directory; what is not there is named at the end, exit 4.

    What an earlier try wrote there is left as it is.
    """
    if not to.is_dir():
        raise UsageError("--to must be a directory for more than one file", path=str(to))
    written = {}
    for file, pieces in retriever.read_many(wanted):
        target = to / file_name_of(file.uid)
        write_file(pieces, target, force=force)
        written[file.uid] = (file, target)
    _report(context, [written[item.uid] for item in wanted if item.uid in written])
    absent = [item.uid for item in wanted if item.uid not in written]
    if absent:
        raise _not_there(absent)


def write_file(pieces: Iterable[bytes], target: Path, *, force: bool) -> None:
    """Whole and checked, or not at all: the name appears after the last byte was verified.

    `Refused` where a file of other content has the name, unless `force` is to replace it. What is
    no file, a device for example, is never replaced.
    """
    if target.exists() and not target.is_file():
        raise Refused("this is no regular file; it was not touched", path=str(target))
    try:
        with NamedTemporaryFile(dir=target.parent, prefix=".des-", delete=False) as draft:
            try:
                for piece in pieces:
                    draft.write(piece)
                draft.flush()
                os.fsync(draft.fileno())
                if force:
                    Path(draft.name).replace(target)
                else:
                    _name_anew(draft.name, target)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(draft.name).unlink()
                raise
    except OSError as exc:
        raise UsageError(f"cannot write the file: {exc.strerror}", path=str(target)) from exc


def _name_anew(draft: str, target: Path) -> None:
    """Give the draft its name, and take its old one away; equal bytes there are as good."""
    try:
        give_name(draft, str(target))
    except FileExistsError as exc:
        if not (target.is_file() and equal_files(draft, str(target))):
            raise Refused(
                "a file with other content is there already; it was not touched",
                hint="choose another name, or replace it: --force",
                path=str(target),
            ) from exc
    with contextlib.suppress(FileNotFoundError):  # where the name was given by renaming
        Path(draft).unlink()


def file_name_of(uid: str) -> str:
    """A file name that any uid can have: percent-encoded, and a hash where it would be too long."""
    name = quote(uid.encode("utf-8", "surrogatepass"), safe=" !#$&'()+,;=@[]{}~")
    if name in {".", ".."} or len(name) > MAX_NAME_BYTES:
        return sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()
    return name


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
        "files": [{"uid": file.uid, **_place(file), "meta": file.entry.meta} for file in shown],
    }
    context.emit(
        "archive-ls",
        payload,
        lambda out: context.out.file.writelines(
            f"{foreign(file.uid)}\t{file.size_bytes}\t{file.shard}\n" for file in shown
        ),
    )
    if more:
        context.say(f"only the first {limit:,} files are shown: raise --limit")


def _lines(path: Path) -> list[str]:
    try:
        if str(path) == "-":
            return sys.stdin.read().splitlines()
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as exc:
        raise UsageError("the list is not UTF-8 text", file=str(path)) from exc
    except OSError as exc:
        raise UsageError(f"the list cannot be read: {exc.strerror}", file=str(path)) from exc


def _place(file: StoredFile | None) -> dict[str, object]:
    if file is None:
        return {}
    return {"shard": file.shard, "size_bytes": file.size_bytes, "big_file": file.is_big}


def _report(context: Context, written: list[tuple[StoredFile, Path]]) -> None:
    payload = {"files": [{"uid": file.uid, "path": path, **_place(file)} for file, path in written]}
    context.emit(
        "archive-get",
        payload,
        lambda out: context.out.file.writelines(f"{path}\n" for _, path in written),
    )


def _not_there(uids: list[str]) -> CheckFailed:
    shown = ", ".join(uids[:5]) + (f" and {len(uids) - 5} more" if len(uids) > 5 else "")
    return CheckFailed(
        "the archive does not have it" if len(uids) == 1 else "the archive does not have them all",
        hint="is it archived at all? des-admin progress, des-admin exceptions list --uid UID",
        uid=shown,
    )
