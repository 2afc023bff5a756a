"""An archive keeps the `n_bits` that it was begun with.

With another one a uid would be looked for in a shard that never held it: packed files would read as
not there, and would be packed again as late. So whoever routes asks here first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from des_core.basics.errors import ConfigError, DamagedData, StorageError
from des_core.database.connections import Database
from des_core.ledger.slices import newest_versions
from des_core.storage.manifests import list_manifests, read_manifest

if TYPE_CHECKING:
    from des_core.storage.directory import Storage

# Manifests that cannot be read are for `verify` to name; a few are passed over here.
TRIES = 3


def require_same_routing(
    storage: Storage | None, n_bits: int, ledger: Database | None = None
) -> None:
    """ConfigError where manifests, or the ledger, know the archive with another `n_bits`."""
    for where, known in (
        ("the archive's manifests", None if storage is None else n_bits_of_manifests(storage)),
        ("the ledger", None if ledger is None else _n_bits_of_ledger(ledger)),
    ):
        if known not in (None, n_bits):
            raise ConfigError(
                f"packer.n_bits is {n_bits}, but this archive was begun with {known}: its files "
                "would not be found",
                hint=f"set packer.n_bits to {known}; another one needs an archive of its own, in "
                "another packer.output_dir and with another database for the watermark",
                key="packer.n_bits",
                known_from=where,
            )


def n_bits_of_manifests(storage: Storage) -> int | None:
    """The `n_bits` of the newest manifests; None where there are none that can be read."""
    for name in list_manifests(storage)[: -TRIES - 1 : -1]:
        with suppress(DamagedData, StorageError):
            return read_manifest(storage, name).n_bits
    return None


def _n_bits_of_ledger(ledger: Database) -> int | None:
    known = newest_versions(ledger).get("n_bits")
    return known if isinstance(known, int) else None
