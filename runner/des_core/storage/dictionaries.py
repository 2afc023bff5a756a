"""Dictionaries of a storage: stored twice, each copy durable, before anything is packed with them.

1. An id is chosen that no other dictionary there has.
2. Both copies are published like a shard: synced, and never in the place of another file.
3. The directory is synced, so that their names are durable too.
4. Both are read back and compared with the sha256 of their name.
"""

from __future__ import annotations

from des_core.basics.errors import DamagedShard, StorageError
from des_core.shard_io.dictionaries import (
    COPY_SUFFIX,
    DICTIONARIES_DIR,
    END_ID,
    FIRST_ID,
    Dictionary,
    copies_of,
    is_dictionary_name,
    natural_id,
    read_copy,
    read_dictionary,
    with_id,
)
from des_core.storage.directory import Storage
from des_core.storage.small_files import publish_bytes


def store_dictionary(storage: Storage, content: bytes) -> Dictionary:
    """Store what was trained, unless it is there; as it is named there, with its id."""
    dictionary = _with_free_id(storage, content)
    for path in copies_of(dictionary.name):
        publish_bytes(storage, path, dictionary.content)
    storage.sync_directory(DICTIONARIES_DIR)
    for path in copies_of(dictionary.name):
        try:
            read_copy(storage.open, path)
        except (DamagedShard, FileNotFoundError) as exc:
            raise StorageError(
                "a dictionary did not read back as it was written; nothing was packed with it",
                hint="look at the kernel's log and the device before running again",
                dictionary=path,
                reason=exc,
            ) from exc
    return dictionary


def load_dictionary(storage: Storage, name: str) -> Dictionary:
    """A stored one, from whichever copy is sound. `DamagedShard` if neither is."""
    return read_dictionary(storage.open, name)


def is_sound(storage: Storage, name: str) -> bool:
    """Whether a copy of it can be read, and is what its name says."""
    try:
        load_dictionary(storage, name)
    except (DamagedShard, StorageError):
        return False
    return True


def list_dictionaries(storage: Storage) -> list[str]:
    """The names of those of which a copy is there, ordered."""
    names = {name.removesuffix(COPY_SUFFIX) for name in storage.list_names(DICTIONARIES_DIR)}
    return sorted(name for name in names if is_dictionary_name(name))


def _with_free_id(storage: Storage, content: bytes) -> Dictionary:
    """The id that follows from the bytes, or the next that no other dictionary has."""
    there = set(list_dictionaries(storage))
    taken = {int(name[:10]) for name in there}
    dict_id = natural_id(content)
    while True:
        dictionary = with_id(content, dict_id)
        if dictionary.name in there or dict_id not in taken:
            return dictionary
        dict_id = dict_id + 1 if dict_id + 1 < END_ID else FIRST_ID
