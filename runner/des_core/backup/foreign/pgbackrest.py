"""pgBackRest: `info`, the listing of its WAL archive, and for L1 the text of `verify`.

Its `verify` ends with exit code 0 on damaged backups (2.45): only its words count. Nor does it miss
WAL that is gone: so the archive's own listing must hold each segment from start to stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
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
from des_core.backup.foreign.conversation import Conversation
from des_core.backup.foreign.wal import WalRange

TOOL = Tool.PGBACKREST
INFO, WAL, VERIFY = "info", "wal", "verify"
_VERIFIED = re.compile(r"backup: (?P<label>\S+), status: (?P<status>[^,\n]+)")
_STATUS = re.compile(r"^status: (?P<status>.+)$", re.MULTILINE)
_ARCHIVES = re.compile(r"archiveId: (?P<id>\S+), total WAL checked: (?P<checked>\d+)")
_SEGMENT = re.compile(r"/(?P<name>[0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$")


def recognise(text: str, stanza: str) -> str:
    """Which answer a text is: `info` is a list, the listing an object, `verify` no JSON."""
    if re.match(r"\s*stanza:", text) or not text.strip():
        return VERIFY
    return WAL if isinstance(parse_json(TOOL, text), dict) else INFO


def read(conversation: Conversation, stanza: str, level: Level) -> ForeignAnswer:
    """The newest backup of the stanza, with everything that a restore of it needs."""
    about = f"--stanza={stanza}"
    stanzas = parse_json(TOOL, conversation.ask(INFO, about, "info", "--output=json") or "[]")
    found = next((item for item in stanzas if item.get("name") == stanza), None)
    if found is None:
        message = f"pgBackRest knows no stanza {stanza}"
        finding = error(Level.L0, "no_stanza", message, "pgbackrest info")
        return ForeignAnswer((), (finding,))
    backups = tuple(map(_backup, found.get("backup", [])))
    findings = list(_status(found))
    if not backups:
        return ForeignAnswer((), tuple(findings))
    newest = _Newest.of(found, max(found["backup"], key=lambda item: item["timestamp"]["start"]))
    findings += newest.find_other_cluster()
    listing = ("repo-ls", "--recurse", "--output=json", f"archive/{stanza}")
    findings += newest.find_missing_wal(conversation.ask(WAL, about, newest.repo, *listing))
    checked: frozenset[Level] = frozenset()
    if level >= Level.L1:
        verify = ("verify", "--output=text", "--verbose")
        text = conversation.ask(VERIFY, about, newest.repo, *verify)
        if text is not None:
            findings += newest.find_unverified(text)
            checked = frozenset((Level.L1,))
    return ForeignAnswer(backups, tuple(findings), newest.system_ids, checked, _details(found))


@dataclass(frozen=True)
class _Newest:
    """The newest backup: its own part of the answer, and its cluster among those of the stanza."""

    item: Any
    databases: tuple[Any, ...]
    archive_id: str | None

    @classmethod
    def of(cls, stanza: Any, item: Any) -> _Newest:
        key = require(item, TOOL, "database")
        of_repo = [db for db in stanza["db"] if db.get("repo-key") == key.get("repo-key")]
        archives = (a["id"] for a in stanza.get("archive", []) if a.get("database") == key)
        return cls(item, tuple(of_repo), next(archives, None))

    @property
    def label(self) -> str:
        return str(self.item["label"])

    @property
    def repo(self) -> str:
        return f"--repo={self.item['database'].get('repo-key', 1)}"

    @property
    def system_ids(self) -> tuple[str, ...]:
        """Of the cluster that was backed up, whatever the stanza's present one is."""
        mine = self.item["database"]["id"]
        return tuple(str(db["system-id"]) for db in self.databases if db["id"] == mine)

    def find_other_cluster(self) -> Iterator[Finding]:
        present = max((db["id"] for db in self.databases), default=None)
        if present != self.item["database"]["id"]:
            message = f"{self.label} is of the cluster before the last stanza-upgrade"
            yield error(Level.L0, "wrong_server", message, again(TOOL))

    def find_missing_wal(self, listing: str | None) -> Iterator[Finding]:
        needed = self._needed()
        if listing is None:
            message = f"whether the WAL from {needed[0]} to {needed[-1]} is there was not told"
            command = "pgbackrest repo-ls --recurse --output=json archive/STANZA"
            yield unknown(Level.L0, "wal_unknown", message, f"bring the answer of: {command}")
            return
        there: dict[str, int] = {}
        for path, entry in parse_json(TOOL, listing).items():
            match = _SEGMENT.search(path)
            if match and path.startswith(f"{self.archive_id}/") and entry.get("size"):
                there[match["name"]] = there.get(match["name"], 0) + 1
        missing = [name for name in needed if name not in there]
        if missing:
            message = f"{len(missing):,} of {len(needed):,} WAL segments are missing: {missing[0]}"
            yield error(Level.L0, "wal_missing", f"{self.label}: {message}", again(TOOL))
        twice = [name for name in needed if there.get(name, 0) > 1]
        if twice:
            message = f"the WAL segment {twice[0]} is there more than once, and differs"
            yield error(Level.L0, "wal_twice", message, again(TOOL))

    def find_unverified(self, text: str) -> Iterator[Finding]:
        """This backup, those that it stands on, and the WAL must be valid."""
        command = "pgbackrest verify --output=text --verbose"
        statuses = {match["label"]: match["status"].strip() for match in _VERIFIED.finditer(text)}
        overall = _STATUS.search(text)
        chain = [self.label, *(self.item.get("reference") or [])]
        bad = [label for label in chain if statuses.get(label, "valid") != "valid"]
        if bad:
            message = f"pgbackrest verify: {bad[0]} is {statuses[bad[0]]}"
            yield error(Level.L1, "changed", message, again(TOOL))
        elif overall is None or any(label not in statuses for label in chain):
            message = "pgbackrest verify did not answer about this backup"
            yield error(Level.L1, "not_verified", message, command)
        elif overall["status"].strip() != "ok":
            message = f"pgbackrest verify: {overall['status'].strip()}"
            yield error(Level.L1, "changed", message, command)
        counts = {match["id"]: int(match["checked"]) for match in _ARCHIVES.finditer(text)}
        if counts.get(str(self.archive_id), 0) < len(self._needed()):
            message = "pgbackrest verify did not read the WAL of this backup"
            yield error(Level.L1, "not_verified", message, command)

    def _needed(self) -> tuple[str, ...]:
        wal, lsn = require(self.item, TOOL, "archive"), require(self.item, TOOL, "lsn")
        return WalRange(wal["start"], wal["stop"], lsn["start"], lsn["stop"]).segments()


def _backup(item: Any) -> ForeignBackup:
    problem = "it holds pages with wrong checksums" if item.get("error") else None
    repository = item.get("info", {}).get("repository", {})
    return ForeignBackup(
        label=str(require(item, TOOL, "label")),
        started_at=moment(require(item, TOOL, "timestamp", "start")),
        finished_at=moment(require(item, TOOL, "timestamp", "stop")),
        size_bytes=repository.get("size"),
        problem=problem,
    )


def _status(stanza: Any) -> Iterator[Finding]:
    code = require(stanza, TOOL, "status", "code")
    if code != 0:
        message = f"pgBackRest says of the stanza: {stanza['status'].get('message')}"
        yield error(Level.L0, "tool_says", message, f"pgbackrest --stanza={stanza['name']} check")


def _details(stanza: Any) -> tuple[tuple[str, str], ...]:
    archive = stanza.get("archive") or []
    if not archive:
        return ()
    return (("WAL archived to", str(archive[-1].get("max"))),)
