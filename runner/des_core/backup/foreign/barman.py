"""Barman: `check`, `show-backup` and the list of WAL; for L1 and L2 `verify-backup` and the WAL.

`list-files` and `show-backup` speak from Barman's catalogue, also of WAL whose file is gone
(3.4): only `get-wal` tells. Its bytes also say of which cluster the backup is, where
`show-server` asks the server that is alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from des_core.backup.findings import Finding, Level
from des_core.backup.foreign.answer import (
    ForeignAnswer,
    ForeignBackup,
    Tool,
    again,
    error,
    moment,
    parse_json,
    require,
    unknown,
)
from des_core.backup.foreign.barman_files import find_catalogue_faults, read_system_id
from des_core.backup.foreign.conversation import Conversation
from des_core.backup.foreign.wal import WalRange, find_wal_faults, read_head
from des_core.backup.private import private_directory
from des_core.basics.errors import Refused, UsageError

TOOL = Tool.BARMAN
CHECK, BACKUP, WAL, VERIFY = "check", "show-backup", "list-files", "verify-backup"
DATA = "list-files data"
AS_BARMAN = "run this where Barman is installed, as its user"
_ID_KEYS = ("system_id", "systemid")


def recognise(text: str, server: str) -> str:
    """Which answer a text is, by its shape."""
    tree = parse_json(TOOL, text)
    about = tree.get(server) if isinstance(tree, dict) else None
    if isinstance(about, dict) and "backup_id" in about:
        return BACKUP
    if isinstance(about, dict) and not all("status" in _dict(item) for item in about.values()):
        return "show-server"
    said = " ".join(map(str, tree.get("_INFO", []))) if isinstance(tree, dict) else ""
    if "Verifying backup" in said:
        return VERIFY
    return WAL if "/wals/" in said else CHECK


def read(conversation: Conversation, server: str, level: Level) -> ForeignAnswer:
    """The newest finished backup of the server, with everything that a restore of it needs."""
    json_ = ("-f", "json")
    findings = list(_checks(conversation.ask(CHECK, *json_, "check", server), server))
    text = conversation.ask(BACKUP, *json_, "show-backup", server, "latest")
    about = None if text is None else parse_json(TOOL, text).get(server)
    if about is None:
        findings += [] if text is None else _complaints(text, Level.L0)
        return ForeignAnswer((), tuple(findings))
    newest = _Newest(conversation, server, about)
    backup = _backup(about)
    wal = conversation.ask(WAL, *json_, "list-files", "--target", "wal", server, backup.label)
    findings += newest.find_unlisted_wal(wal)
    identifiers = [str(about[key]) for key in _ID_KEYS if about.get(key)]
    checked: frozenset[Level] = frozenset()
    if level >= Level.L1 and backup.problem is None:
        verified = conversation.ask(VERIFY, *json_, "verify-backup", server, backup.label)
        if verified is not None:
            checked = frozenset((Level.L1, Level.L2))
            findings += _complaints(verified, Level.L1)
            found, system_ids = newest.read_wal()
            findings += [*found, *newest.find_unseen(wal, system_ids)]
            identifiers += system_ids
    return ForeignAnswer((backup,), tuple(findings), tuple(dict.fromkeys(identifiers)), checked)


@dataclass(frozen=True)
class _Newest:
    """The newest backup, as `show-backup` tells of it."""

    conversation: Conversation
    server: str
    about: Any

    def find_unlisted_wal(self, text: str | None) -> Iterator[Finding]:
        needed = self._range().segments()
        if text is None:
            message = f"whether the WAL from {needed[0]} to {needed[-1]} is there was not told"
            command = f"barman -f json list-files --target wal {self.server} latest"
            yield unknown(Level.L0, "wal_unknown", message, f"bring the answer of: {command}")
            return
        paths = [Path(str(line)) for line in parse_json(TOOL, text).get("_INFO", [])]
        there = {path.name.partition(".")[0]: path for path in paths}
        missing = [name for name in needed if name not in there or _is_gone(there[name])]
        if missing:
            message = f"{len(missing):,} of {len(needed):,} WAL segments are missing: {missing[0]}"
            yield error(Level.L0, "wal_missing", message, again(TOOL))

    def read_wal(self) -> tuple[list[Finding], list[str]]:
        """What is wrong with the WAL from begin to end, and the cluster that its pages name."""
        wanted = self._range()
        with private_directory() as scratch:
            directory = scratch / "wal"
            directory.mkdir()
            try:
                for name in wanted.segments():
                    said = self.conversation.fetch(directory / name, "get-wal", self.server, name)
                    if said is not None:
                        return [_wal_fault(f"{name} cannot be had: {said}")], []
                major = int(require(self.about, TOOL, "postgresql_version")) // 10_000
                faults = list(find_wal_faults(directory, wanted, wanted.segments(), major, scratch))
            except (Refused, UsageError) as exc:
                hint = exc.hint or "run this where Barman is installed"
                return [unknown(Level.L1, "wal_not_read", f"WAL: {exc.message}", hint)], []
            if faults:
                return [_wal_fault(fault) for fault in faults], []
            return [], [read_head(directory / name).system_id for name in wanted.segments()]

    def find_unseen(self, wal: str | None, system_ids: list[str]) -> Iterator[Finding]:
        """Damages that Barman's own commands pass over; unknown where its files are not here."""
        lines = parse_json(TOOL, wal or "{}").get("_INFO", [])
        needed = self._range().segments()
        listed = next((Path(str(line)) for line in lines if needed[0] in str(line)), None)
        try:
            if listed is None:
                raise FileNotFoundError(needed[0])
            for fault in find_catalogue_faults(listed, needed[0], needed[-1]):
                yield _wal_fault(fault)
        except OSError as exc:
            message = f"Barman's catalogue of WAL could not be read: {exc}"
            yield unknown(Level.L1, "wal_not_read", message, AS_BARMAN)
        asked = ("-f", "json", "list-files", "--target", "data", self.server)
        files = self.conversation.ask(DATA, *asked, str(self.about["backup_id"]))
        paths = [Path(str(line)) for line in parse_json(TOOL, files or "{}").get("_INFO", [])]
        system_id = read_system_id(paths)
        if system_id is None:
            yield unknown(Level.L1, "wal_not_read", "pg_control could not be read", AS_BARMAN)
        elif system_ids and system_id not in system_ids:
            message = f"its pg_control is of the cluster {system_id}, its WAL of {system_ids[0]}"
            yield error(Level.L1, "changed", message, again(TOOL))

    def _range(self) -> WalRange:
        base = require(self.about, TOOL, "base_backup_information")
        keys = ("begin_wal", "end_wal", "begin_lsn", "end_lsn")
        return WalRange(*(str(require(base, TOOL, key)) for key in keys))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_gone(path: Path) -> bool:
    """Whether it is missing on this machine, where its directory is; elsewhere nobody knows."""
    try:
        return path.parent.is_dir() and not (path.is_file() and path.stat().st_size)
    except OSError:
        return False


def _backup(tree: Any) -> ForeignBackup:
    base = require(tree, TOOL, "base_backup_information")
    status = require(tree, TOOL, "status")
    problem = None if status == "DONE" else f"its status is {status}: {tree.get('error') or ''}"
    sizes = ("backup_size_bytes", "disk_usage_bytes")
    size = next((base[key] for key in sizes if base.get(key) is not None), None)
    return ForeignBackup(
        label=str(tree["backup_id"]),
        started_at=_time(base, "begin"),
        finished_at=_time(base, "end") if base.get("end_time") else None,
        size_bytes=None if size is None else int(size),
        problem=None if problem is None else problem.strip(" :"),
    )


def _time(base: Any, which: str) -> datetime:
    stamp = base.get(f"{which}_time_timestamp")
    if stamp is not None:
        return moment(stamp)
    return datetime.fromisoformat(str(require(base, TOOL, f"{which}_time")))


def _checks(text: str | None, server: str) -> Iterator[Finding]:
    if text is None:
        return
    about = parse_json(TOOL, text).get(server)
    if about is None:
        yield from _complaints(text, Level.L0)
        return
    for name, item in about.items():
        if item.get("status") != "OK":
            hint = f": {item['hint']}" if item.get("hint") else ""
            message = f"barman check: {name.replace('_', ' ')} {item.get('status')}{hint}"
            yield error(Level.L0, "tool_says", message, f"barman check {server}")


def _complaints(text: str, level: Level) -> Iterator[Finding]:
    """What verify-backup, or a refusal, says; an answer of another shape is one, too."""
    tree = parse_json(TOOL, text)
    said = " ".join(map(str, tree.get("_INFO", [])))
    lines = [" ".join(str(line).split()) for line in tree.get("_ERROR", [])]
    if level is Level.L1 and "successfully verified" not in said and not lines:
        lines = ["barman verify-backup did not say that the backup is good"]
    if level is Level.L0 and not lines:
        lines = ["barman gave an answer that is not understood"]
    code = "tool_says" if level is Level.L0 else "changed"
    for line in lines:
        yield error(level, code, line, again(TOOL))


def _wal_fault(message: str) -> Finding:
    return error(Level.L1, "wal_damaged", f"WAL: {message}", again(TOOL))
