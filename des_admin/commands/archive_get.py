"""`get`: one file, or those of a list, each line of which is answered."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from des_admin.commands.archive_files import (
    Unwritable,
    file_name_of,
    not_there,
    place_of,
    time_there,
    write_file,
)
from des_admin.context import Context
from des_admin.render.values import clipped, utc
from des_admin.uid_lists import Line, hint_of_form
from des_core.basics.errors import CheckFailed, DamagedShard, Refused, UsageError
from des_core.basics.object_config import is_object_url
from des_core.reading.retriever import Hit, Retriever, StoredFile, Wanted
from des_core.storage.layout import DAMAGED_DIR, SUBDIRECTORIES

OWN_DIRECTORIES = {*SUBDIRECTORIES, DAMAGED_DIR}


class Kind(StrEnum):
    """What became of a line."""

    WRITTEN = "written"
    THERE_ALREADY = "there_already"
    NOT_THERE = "not_there"
    MORE_THAN_ONE = "more_than_one"
    OTHER_CONTENT = "other_content"
    NOT_WRITTEN = "not_written"
    DAMAGED = "damaged"


FINE = {Kind.WRITTEN, Kind.THERE_ALREADY}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one line. `days` where several have the uid; the newest was written.

    `reason` where it was not written.
    """

    kind: Kind
    path: Path | None = None
    file: StoredFile | None = None
    days: tuple[str, ...] = ()
    damage: DamagedShard | None = None
    reason: str | None = None


def get_one(
    context: Context, retriever: Retriever, item: Wanted, to: str | None, *, force: bool
) -> None:
    """Write one file to a path, or to stdout. Other content there is replaced only by `force`."""
    file = retriever.find(item.uid, item.created_at)
    if file is None:
        raise not_there([item.uid])
    if to is not None:
        target = _target_of(retriever, to, file)
        write_file(retriever.stream(file), target, force=force)
        payload = {"files": [{"uid": file.uid, "path": target, **place_of(file)}]}
        context.emit("archive-get", payload, lambda _: context.out.file.writelines([f"{target}\n"]))
        return
    if context.wants_json:
        raise UsageError("the content goes to stdout, so --output json needs --to FILE")
    for piece in retriever.stream(file):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def get_many(
    context: Context, retriever: Retriever, lines: list[Line], to: str, *, force: bool
) -> None:
    """Write the files of a list into a directory, and answer each line in its order.

    What an earlier try wrote there is left as it is. Exit 4 unless every line got its file, 20
    where a shard is damaged.
    """
    directory = Path(to)
    if to.endswith("/"):
        make_directory(directory)
    if not directory.is_dir():
        raise UsageError(
            "--to must be a directory for more than one file",
            path=to,
            hint="create it, or end it with a slash: then it is made",
        )
    require_apart(retriever, directory)
    answers: dict[Wanted, Answer] = {}
    _get(retriever, [line.wanted for line in lines], directory, answers, force=force)
    doubtful = [line for line in lines if _is_unanswered(answers, line.wanted) and line.whole]
    _get(
        retriever, [line.whole for line in doubtful if line.whole], directory, answers, force=force
    )
    for line in doubtful:
        if line.whole is not None and not _is_unanswered(answers, line.whole):
            answers[line.wanted] = answers[line.whole]
    answered = [(line, answers.get(line.wanted, Answer(Kind.NOT_THERE))) for line in lines]
    context.emit("archive-get", _payload(answered), lambda _: _draw(context, answered))
    _refuse_unanswered(answered)


def make_directory(directory: Path) -> None:
    """The directory, unless it is there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"cannot make it: {exc.strerror}", path=str(directory)) from exc


def require_apart(retriever: Retriever, directory: Path) -> None:
    """Refused in the archive: there a uid could take the name of a shard."""
    if is_object_url(retriever.output_dir):
        return
    archive, place = Path(retriever.output_dir).resolve(), directory.resolve()
    if place == archive or (place.parent == archive and place.name in OWN_DIRECTORIES):
        raise Refused(
            "this is the archive itself: only shards belong there",
            hint="name a directory of its own",
            path=str(directory),
        )


def _target_of(retriever: Retriever, to: str, file: StoredFile) -> Path:
    """Below a directory the file goes by its uid; a name that ends with a slash is one."""
    if to.endswith("/"):
        make_directory(Path(to))
    if not Path(to).is_dir():
        return Path(to)
    require_apart(retriever, Path(to))
    return Path(to) / file_name_of(file.uid)


def _is_unanswered(answers: dict[Wanted, Answer], wanted: Wanted) -> bool:
    return wanted not in answers


def _get(
    retriever: Retriever,
    wanted: list[Wanted],
    directory: Path,
    answers: dict[Wanted, Answer],
    *,
    force: bool,
) -> None:
    names = target_names(wanted)
    began = time_there(directory) if force else None
    for hit in retriever.read_many(names, every_day=True):
        before = answers.get(hit.wanted)
        if before is not None and before.file is not None and hit.file is not None:
            days = (*(before.days or (_day(before.file),)), _day(hit.file))
            kind = Kind.MORE_THAN_ONE if before.kind in FINE else before.kind
            answers[hit.wanted] = replace(before, kind=kind, days=days)
        else:
            answers[hit.wanted] = _write(
                hit, directory / names[hit.wanted], force=force, began=began
            )


def _write(hit: Hit, target: Path, *, force: bool, began: int | None) -> Answer:
    if hit.file is None:
        return Answer(Kind.DAMAGED, damage=hit.damage)
    try:
        is_new = write_file(hit.pieces, target, force=force, began=began)
    except DamagedShard as exc:
        return Answer(Kind.DAMAGED, damage=exc.as_value())
    except Unwritable as exc:
        return Answer(Kind.NOT_WRITTEN, None, hit.file, reason=exc.message)
    except Refused:
        return Answer(Kind.OTHER_CONTENT, target, hit.file)
    return Answer(Kind.WRITTEN if is_new else Kind.THERE_ALREADY, target, hit.file)


def target_names(wanted: list[Wanted]) -> dict[Wanted, str]:
    """The file name for each; with its time where one uid is asked for twice, as none has it."""
    times = Counter(item.uid for item in dict.fromkeys(wanted))
    names = {}
    for item in dict.fromkeys(wanted):
        name = file_name_of(item.uid)
        if times[item.uid] > 1 and item.created_at is not None:
            name += f"%_{item.created_at:%Y%m%dT%H%M%S%f}"
        names[item] = name
    return names


def _day(file: StoredFile) -> str:
    return file.shard.partition("_")[0]


def _payload(answered: list[tuple[Line, Answer]]) -> dict[str, object]:
    answers, files = [], {}
    for line, answer in answered:
        path = {"reason": answer.reason} if answer.reason else {"path": answer.path}
        file = {} if answer.file is None else {**path, **place_of(answer.file)}
        uid = line.wanted.uid
        facts = {"line": line.number, "uid": uid, "created_at": line.wanted.created_at}
        answers.append({**facts, "answer": answer.kind, **file, "days": list(answer.days)})
        if answer.kind in FINE and answer.file is not None:
            files[answer.path] = {"uid": answer.file.uid, **file}
    return {"answers": answers, "files": list(files.values())}


def _draw(context: Context, answered: list[tuple[Line, Answer]]) -> None:
    context.out.file.writelines(_words(answered))


def _words(answered: list[tuple[Line, Answer]]) -> Iterator[str]:
    for line, answer in answered:
        moment = "" if line.wanted.created_at is None else f"\t{utc(line.wanted.created_at)}"
        where = "" if answer.path is None else f"\t{clipped(answer.path)}"
        kind = answer.kind.replace("_", " ")
        days = f" ({', '.join(answer.days)})" if answer.days else ""
        reason = f" ({answer.reason})" if answer.reason else ""
        yield f"{kind}{days}{reason}\t{clipped(line.wanted.uid)}{moment}{where}\n"


def _refuse_unanswered(answered: list[tuple[Line, Answer]]) -> None:
    damage = next((answer.damage for _, answer in answered if answer.damage is not None), None)
    if damage is not None:
        raise damage
    absent = [line.wanted.uid for line, answer in answered if answer.kind is Kind.NOT_THERE]
    if absent:
        raise not_there(absent, hint_of_form(absent))
    counts = Counter(answer.kind for _, answer in answered if answer.kind not in FINE)
    if counts:
        raise CheckFailed(
            "not every line of the list got its file",
            hint="more than one: name created_at behind a tab; other content: --force; not "
            "written: get it into another directory",
            **{str(kind): count for kind, count in counts.items()},
        )
