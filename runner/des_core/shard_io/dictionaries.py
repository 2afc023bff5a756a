"""zstd dictionaries: what the small files of a slice have in common, stored beside its shards.

`_dictionaries/<id>_<sha256>` holds one as zstd's tools take it, and the same name with `.copy`
holds it once more. A frame names its dictionary by the id. Nothing is decoded with bytes that do
not agree with the sha256 of their name.
"""

from __future__ import annotations

import hashlib
import re
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import zstandard

from des_core.basics.errors import DamagedShard, DesError, StorageError
from des_core.shard_io.blobs import Blob

DICTIONARIES_DIR = "_dictionaries"
COPY_SUFFIX = ".copy"
# Those of a few weeks are kept: a reader goes from day to day.
MAX_LOADED = 32
# Far above what is trained: a larger file under such a name is nobody's dictionary.
MAX_DICTIONARY = 1 << 20
# zstd keeps the ids below for registered dictionaries, and those above for later.
FIRST_ID = 1 << 15
END_ID = 1 << 31
_MAGIC = 0xEC30A437
_HEAD = struct.Struct("<II")
_NAME = re.compile(r"([0-9]{10})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary and its bytes; its name says id and sha256."""

    name: str
    content: bytes

    @property
    def dict_id(self) -> int:
        return int(self.name[:10])

    def zstd(self) -> zstandard.ZstdCompressionDict:
        """As the library takes it; each call makes a new one, which is not cheap."""
        return zstandard.ZstdCompressionDict(self.content, dict_type=zstandard.DICT_TYPE_FULLDICT)


def is_dictionary_path(path: str) -> bool:
    """Whether it is one of `copies_of` some dictionary."""
    directory, _, name = path.rpartition("/")
    return directory == DICTIONARIES_DIR and is_dictionary_name(name.removesuffix(COPY_SUFFIX))


def other_copy(path: str) -> str:
    """The path of the same dictionary's other copy."""
    first, second = copies_of(path.rpartition("/")[2].removesuffix(COPY_SUFFIX))
    return second if path == first else first


def is_dictionary_name(name: str) -> bool:
    """Whether it is `<id>_<sha256>`, of an id that we give."""
    match = _NAME.fullmatch(name)
    return match is not None and FIRST_ID <= int(match[1]) < END_ID


def copies_of(name: str) -> tuple[str, str]:
    """Where the two copies of a dictionary lie, below `output_dir`."""
    path = f"{DICTIONARIES_DIR}/{name}"
    return path, path + COPY_SUFFIX


def with_id(content: bytes, dict_id: int) -> Dictionary:
    """The dictionary with another id."""
    magic, _ = _HEAD.unpack_from(content)
    content = _HEAD.pack(magic, dict_id) + content[_HEAD.size :]
    return Dictionary(f"{dict_id:010d}_{hashlib.sha256(content).hexdigest()}", content)


def natural_id(content: bytes) -> int:
    """The id that follows from what is trained, whatever id it has now."""
    digest = hashlib.sha256(content[_HEAD.size :]).digest()
    return FIRST_ID + int.from_bytes(digest[:8], "big") % (END_ID - FIRST_ID)


def check_dictionary(name: str, content: bytes) -> Dictionary:
    """`DamagedShard` unless these are the bytes of that name."""
    if not is_dictionary_name(name):
        raise DamagedShard("not the name of a dictionary", dictionary=name)
    if hashlib.sha256(content).hexdigest() != name[11:]:
        raise DamagedShard("a dictionary does not agree with its name", dictionary=name)
    if len(content) < _HEAD.size or _HEAD.unpack_from(content) != (_MAGIC, int(name[:10])):
        raise DamagedShard("a dictionary has another id than its name", dictionary=name)
    return Dictionary(name, content)


def read_copy(open_file: Callable[[str], Blob], path: str) -> Dictionary:
    """One copy, checked. `FileNotFoundError` if there is none."""
    return read_as(open_file, path, path.rpartition("/")[2].removesuffix(COPY_SUFFIX))


def read_as(open_file: Callable[[str], Blob], path: str, name: str) -> Dictionary:
    """The dictionary of that name from wherever its bytes are, checked."""
    with closing(open_file(path)) as blob:
        if blob.size() > MAX_DICTIONARY:
            raise DamagedShard("a dictionary is too large", dictionary=name, bytes=blob.size())
        return check_dictionary(name, blob.read_range(0, blob.size()))


def read_dictionary(open_file: Callable[[str], Blob], name: str) -> Dictionary:
    """From the copy that is sound; `DamagedShard` or `StorageError` of the first if neither is."""
    first: DesError | None = None
    for path in copies_of(name):
        try:
            return read_copy(open_file, path)
        except FileNotFoundError:
            continue
        except (DamagedShard, StorageError) as exc:
            exc.facts.setdefault("dictionary", name)
            first = first or exc
    raise first or _missing(name)


def _missing(name: str) -> DamagedShard:
    """Neither copy is there: perhaps the directory was left behind when the archive moved."""
    return DamagedShard(
        "a dictionary is missing, and without it what it compressed cannot be read",
        hint="bring _dictionaries/ back, which belongs beside the shards: from where the archive "
        "was copied from, or from its backup",
        dictionary=name,
    )


class Shelf(Protocol):
    """Where a decoder finds dictionaries."""

    def find(self, dict_id: int) -> list[tuple[str, zstandard.ZstdCompressionDict]]:
        """Those of the id, by name; `DamagedShard` if there are none."""


class DictionaryShelf:
    """Dictionaries that are in memory, and nowhere else."""

    def __init__(self, dictionaries: Iterable[Dictionary]) -> None:
        self._dictionaries = [(each.dict_id, each.name, each.zstd()) for each in dictionaries]

    def find(self, dict_id: int) -> list[tuple[str, zstandard.ZstdCompressionDict]]:
        found = [(name, each) for its_id, name, each in self._dictionaries if its_id == dict_id]
        if not found:
            raise _missing(f"{dict_id:010d}_*")
        return found


class Dictionaries:
    """The dictionaries beside some shards, by id; each is read and checked once."""

    def __init__(
        self, open_file: Callable[[str], Blob], list_names: Callable[[str], list[str]]
    ) -> None:
        """`list_names` gives the names in a directory below `output_dir`, `open_file` the bytes."""
        self._open_file = open_file
        self._list_names = list_names
        self._names: dict[int, list[str]] = {}
        self._loaded: dict[str, zstandard.ZstdCompressionDict] = {}
        self._lock = threading.Lock()

    def find(self, dict_id: int) -> list[tuple[str, zstandard.ZstdCompressionDict]]:
        """Those of the id, by name: one, unless two trainings met. `DamagedShard` if none."""
        with self._lock:
            if dict_id not in self._names:
                self._names = _by_id(self._list_names(DICTIONARIES_DIR))
            if dict_id not in self._names:
                raise _missing(f"{dict_id:010d}_*")
            return list(self._load(self._names[dict_id]))

    def _load(self, names: list[str]) -> Iterator[tuple[str, zstandard.ZstdCompressionDict]]:
        for name in names:
            if name not in self._loaded:
                while len(self._loaded) >= MAX_LOADED:
                    self._loaded.pop(next(iter(self._loaded)), None)
                self._loaded[name] = read_dictionary(self._open_file, name).zstd()
            yield name, self._loaded[name]


def _by_id(names: list[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in sorted({name.removesuffix(COPY_SUFFIX) for name in names}):
        if is_dictionary_name(name):
            found.setdefault(int(name[:10]), []).append(name)
    return found
