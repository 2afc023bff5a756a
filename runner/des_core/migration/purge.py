"""Below the ledger everything is forgotten: asked for, or refused before anything has changed."""

from __future__ import annotations

from des_core.basics.errors import Refused
from des_core.migration.base.migration import Migration
from des_core.migration.operations.kinds import Check, Scene


def require_purge(migration: Migration) -> None:
    """Refused unless `purge` was asked for."""
    if not migration.options.purge:
        raise Refused(
            "going below the ledger forgets which shards hold what, all exceptions and the audit"
            " trail",
            hint="if that is what you want: des-admin migrate down --purge"
            " (alembic: -x purge=yes); the rollback that can be undone ends at 0001_ledger",
            database=migration.config.label,
        )


def _ask(scene: Scene) -> None:
    require_purge(scene.migration)


REQUIRE_PURGE = Check(
    name="require_purge", says="the history of the archive goes: asked for with purge", ask=_ask
)
