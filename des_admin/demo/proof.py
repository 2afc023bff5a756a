"""The proof at the end: the formula against every row, the bytes of every archived file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from des_core.basics.errors import DamagedData
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import parse_stored
from des_core.database.catalog import Catalog
from des_core.database.connections import open_database
from des_core.ledger.exceptions import iterate_open
from des_core.ledger.watermark import read_watermark
from des_core.reading.retriever import Retriever
from des_core.storage.directory import open_storage

if TYPE_CHECKING:
    from des_admin.demo.material import DemoFile
    from des_core.settings.config import Settings


@dataclass(frozen=True)
class Truth:
    """What watermark and exceptions say, read before the way back retires the watermark."""

    archived_until: datetime
    exceptions: frozenset[tuple[str, datetime]]

    def says_archived(self, uid: str, created_at: datetime) -> bool:
        """The one formula."""
        return (created_at <= self.archived_until) != ((uid, created_at) in self.exceptions)


@dataclass(frozen=True)
class Proof:
    """What was compared, all of it equal."""

    rows: int
    archived: int
    exceptions: int


def read_truth(settings: Settings) -> Truth:
    """Watermark and open exceptions as they are now."""
    database = open_database(settings.config_url)
    with database.read() as tx:
        watermark = read_watermark(tx)
    open_keys = {(item.uid, item.created_at) for page in iterate_open(database) for item in page}
    database.close()
    return Truth(watermark.archived_until, frozenset(open_keys))


def prove(settings: Settings, truth: Truth, files: Mapping[str, DemoFile]) -> Proof:
    """DamagedData at the first row whose flag, or archived file whose bytes, are not right."""
    flags = _read_flags(settings)
    if flags.keys() != files.keys():
        raise DamagedData("rows of the table came or went", rows=len(flags), files=len(files))
    stored = _read_archive(settings)
    archived = 0
    for uid, (created_at, flag) in flags.items():
        if flag != truth.says_archived(uid, created_at):
            raise DamagedData("the column does not say what the formula says", uid=uid)
        archived += flag
        if flag and stored.get(uid) != files[uid].sha256:
            raise DamagedData("an archived file is not in the archive byte for byte", uid=uid)
        if not flag and uid in stored:
            raise DamagedData("a file that is not archived is in the archive", uid=uid)
    return Proof(len(flags), archived, len(truth.exceptions))


def _read_flags(settings: Settings) -> dict[str, tuple[datetime, bool]]:
    database = open_database(settings.source_url)
    statement = Catalog(Dialect.SQLITE, settings.database).load("demo", "read_flags.sql")
    with database.read() as tx:
        rows = tx.run(statement).all()
    database.close()
    return {row.uid: (parse_stored(row.created_at), bool(row.archived)) for row in rows}


def _read_archive(settings: Settings) -> dict[str, bytes]:
    """uid → sha256 of what the archive gives back for it."""
    packer = settings.packer
    retriever = Retriever(open_storage(packer.to_config()), packer.n_bits)
    found: dict[str, bytes] = {}
    for shard in retriever.shards():
        with retriever.opened(shard) as reader:
            for entry in reader.entries():
                digest = hashlib.sha256()
                for piece in reader.stream(entry):
                    digest.update(piece)
                if entry.uid in found:
                    raise DamagedData("a file is packed twice", uid=entry.uid)
                found[entry.uid] = digest.digest()
    return found
