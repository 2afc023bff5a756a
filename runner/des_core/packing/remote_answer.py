"""What a worker of another machine answers, as JSON: reading it can run nothing.

Whoever reaches a cluster may answer in a worker's place, so each value is looked at as any foreign
input is: its type, its range, its form. What is no answer is an error, and nothing is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, TypeVar

from des_core.basics.errors import DesError, StorageError
from des_core.basics.routing import parse_shard_name
from des_core.packing.pack_worker import Reply
from des_core.packing.row_spool import decode_rows
from des_core.packing.tasks import ShardTask, TaskOutcome
from des_core.records import FileFailure, Reason, ShardRecord
from des_core.shard_io.dictionaries import is_dictionary_name
from des_core.shard_io.layout import SHA256_HEX

MAX_ANSWER_BYTES = 1 << 28
_MAX = 1 << 62
_MAX_FACTS = 50
_T = TypeVar("_T")


class BadAnswer(StorageError):
    """A worker, or somebody in its place, answered something that is no answer."""

    @classmethod
    def of(cls, exc: Exception) -> BadAnswer:
        """What the reader of an answer, or Dask's client, fell over."""
        return cls(
            "a Dask worker answered something that is no answer; the watermark is where it was",
            hint="are all workers of this version, and who reaches the scheduler?",
            reason=f"{type(exc).__name__}: {exc}"[:200],
        )


def encode_reply(worker: str, reply: Reply) -> bytes:
    """The answer of `worker`. Texts may hold half surrogate pairs, which JSON escapes."""
    tree: dict[str, Any] = {"worker": worker}
    if reply.error is not None:
        tree["error"] = _error_tree(reply.error)
    else:
        tree["outcomes"] = [asdict(outcome) for outcome in reply.outcomes]
    return json.dumps(tree, default=date.isoformat).encode()


def decode_reply(answer: object, batch: Sequence[ShardTask]) -> tuple[str, Reply]:
    """Who answered, and what. `BadAnswer` unless it has an outcome for each task, of its rows."""
    try:
        tree = json.loads(_bounded(answer))
        worker = _text(tree["worker"])[:200]
        if "error" in tree:
            return worker, Reply([], _read_error(tree["error"]))
        outcomes = [_outcome(item) for item in _list(tree["outcomes"])]
        for task, outcome in zip(batch, outcomes, strict=True):
            _require_of_task(task, outcome)
        return worker, Reply(outcomes)
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise BadAnswer.of(exc) from exc


def _bounded(answer: object) -> bytes:
    data: bytes = _of_type(answer, bytes)
    if len(data) > MAX_ANSWER_BYTES:
        raise ValueError("it is too long")
    return data


def _outcome(tree: Any) -> TaskOutcome:
    outcome = TaskOutcome(
        shards=tuple(_shard(item) for item in _list(tree["shards"])),
        adopted=tuple(_shard(item) for item in _list(tree["adopted"])),
        files_out=_number(tree["files_out"]),
        files_present=_number(tree["files_present"]),
        bytes_in=_number(tree["bytes_in"]),
        failures=tuple(_failure(item) for item in _list(tree["failures"])),
        bigfiles=tuple(_hash(item) for item in _list(tree["bigfiles"])),
        dictionaries=tuple(_dictionary(item) for item in _list(tree["dictionaries"])),
    )
    if outcome.files_present > outcome.files_out:
        raise ValueError("more files were there than there are")
    return outcome


def _require_of_task(task: ShardTask, outcome: TaskOutcome) -> None:
    if outcome.files_out + len(outcome.failures) != task.count:
        raise ValueError(f"{task.count} rows were asked for")
    for shard in (*outcome.shards, *outcome.adopted):
        if (shard.day, shard.bucket) != (task.day, task.bucket):
            raise ValueError("a shard of another task")
    if outcome.failures:
        rows = {(row.uid, row.created_us) for row in decode_rows(task.rows)}
        if any((item.uid, item.created_us) not in rows for item in outcome.failures):
            raise ValueError("a failure of a row that was not asked for")


def _shard(tree: Any) -> ShardRecord:
    shard = ShardRecord(
        name=_text(tree["name"]),
        day=date.fromisoformat(_text(tree["day"])),
        bucket=_number(tree["bucket"]),
        part=_number(tree["part"]),
        files=_number(tree["files"]),
        content_bytes=_number(tree["content_bytes"]),
        size_bytes=_number(tree["size_bytes"]),
        sha256=_hash(tree["sha256"]),
    )
    said = parse_shard_name(shard.name)
    if said is None or (said.day, said.bucket, said.part) != (shard.day, shard.bucket, shard.part):
        raise ValueError("a shard whose name says another day, bucket or part")
    return shard


def _dictionary(value: Any) -> str:
    name = _text(value)
    if not is_dictionary_name(name):
        raise ValueError("not the name of a dictionary")
    return name


def _failure(tree: Any) -> FileFailure:
    location = tree["location"]
    return FileFailure(
        uid=_text(tree["uid"]),
        created_us=_number(tree["created_us"], low=-_MAX),
        location=None if location is None else _text(location),
        reason=Reason(_text(tree["reason"])),
        error=_text(tree["error"]),
    )


def _error_tree(error: Exception) -> dict[str, Any]:
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    if not isinstance(error, DesError):
        return {"kind": "", "message": f"{type(error).__name__}: {error}", "notes": notes}
    facts = {str(key): str(value) for key, value in error.facts.items()}
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "facts": facts,
        "notes": notes,
    }


def _read_error(tree: Any) -> DesError:
    """One of our own errors by its name; whatever else went wrong there is a plain one."""
    kinds = {kind.__name__: kind for kind in _kinds(DesError)}
    kind = kinds.get(_text(tree["kind"]), DesError)
    error = kind.__new__(kind)
    hint = tree.get("hint")
    DesError.__init__(error, _text(tree["message"]), hint=None if hint is None else _text(hint))
    facts = tree.get("facts", {})
    if not isinstance(facts, dict) or len(facts) > _MAX_FACTS:
        raise TypeError("facts")
    error.facts = {key: _text(value) for key, value in facts.items()}
    for note in _list(tree["notes"])[:_MAX_FACTS]:
        error.add_note(_text(note))
    return error


def _kinds(kind: type[DesError]) -> set[type[DesError]]:
    return {kind}.union(*(_kinds(child) for child in kind.__subclasses__()))


def _list(value: Any) -> list[Any]:
    return _of_type(value, list)


def _text(value: Any) -> str:
    return _of_type(value, str)


def _of_type(value: Any, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _number(value: Any, low: int = 0) -> int:
    if type(value) is not int or not low <= value < _MAX:
        raise ValueError("a number out of range")
    return value


def _hash(value: Any) -> str:
    if SHA256_HEX.fullmatch(_text(value)) is None:
        raise ValueError("no SHA-256")
    return str(value)
