"""Shards and manifests that a verification found damaged: remembered until one finds them sound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from des_core.database.connections import Database
from des_core.database.stored_time import from_stored, optional_from_stored
from des_core.database.transaction import Transaction

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Damage:
    """One name and what is wrong with it."""

    name: str
    verdict: str
    problem: str | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class DamageCount:
    """How many, and since when."""

    files: int
    oldest: datetime | None


def remember_damage(
    config: Database, name: str, verdict: str, problem: str | None, *, now: datetime | None = None
) -> None:
    """Found damaged, missing or unreadable, in a transaction of its own."""
    values = {
        "name": name,
        "verdict": verdict,
        "problem": problem,
        "now": now or datetime.now(UTC),
    }
    config.transact(lambda tx: tx.run("damage_found", values))


def forget_damage(tx: Transaction, names: Iterable[str]) -> None:
    """Found sound, or set aside and packed again, in the caller's transaction."""
    for name in names:
        tx.run("damage_gone", {"name": name})


def list_damage(tx: Transaction, *, limit: int = SHOWN) -> list[Damage]:
    """What is damaged, by when it was found."""
    return [
        Damage(row.name, row.verdict, row.problem, from_stored(row.found_at))
        for row in tx.run("damage_page", {"page_size": limit})
    ]


def count_damage(tx: Transaction) -> DamageCount:
    """How many names are damaged now."""
    row = tx.run("damage_count").one()
    return DamageCount(int(row.files), optional_from_stored(row.oldest))
