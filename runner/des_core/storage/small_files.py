"""Small files in an output: manifests, heads of the trail, dictionaries, the archive's mark."""

from __future__ import annotations

from des_core.basics.errors import StorageError
from des_core.basics.storage_errors import storage_error
from des_core.storage.directory import Storage


def publish_bytes(storage: Storage, name: str, content: bytes) -> None:
    """Give these bytes that name, synced and never in the place of another file.

    Equal bytes there are as good. The name itself is durable after `Storage.sync_directory`.
    `StorageError` if other bytes have the name, or they cannot be written.
    """
    draft = storage.create_draft(name.rpartition("/")[0])
    try:
        try:
            draft.file.write(content)
        except OSError as exc:
            raise storage_error(f"cannot write {name}", exc, draft.path) from exc
        draft.sync()
        storage.publish(draft, name)
    finally:
        draft.discard()


def publish_unless_taken(storage: Storage, name: str, content: bytes) -> bool:
    """The same; False if a file of other bytes has the name."""
    try:
        publish_bytes(storage, name, content)
    except StorageError:
        if storage.exists(name):
            return False
        raise
    return True
