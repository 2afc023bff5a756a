"""What lies beside shards and belongs to them: big files, and dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from des_core.basics.errors import DamagedShard, StorageError
from des_core.shard_io.bigfiles import big_file_name
from des_core.shard_io.blobs import Blob, LocalBlob
from des_core.shard_io.dictionaries import Dictionaries


class Companions:
    """Found by name below the place of the shards. May be used by several threads."""

    def __init__(
        self, open_file: Callable[[str], Blob], list_names: Callable[[str], list[str]]
    ) -> None:
        """As those of `Storage`: `FileNotFoundError` if there is no such file."""
        self._open_file = open_file
        self.dictionaries = Dictionaries(open_file, list_names)

    def open_big(self, sha256: str) -> Blob:
        """A big file's content; `DamagedShard` if it is missing. The caller closes it."""
        name = big_file_name(sha256)
        try:
            return self._open_file(name)
        except FileNotFoundError as exc:
            raise DamagedShard("a big file is missing", file=name) from exc


def directory_companions(output_dir: str | Path) -> Companions:
    """Those beside the shards of a directory."""
    root = Path(output_dir)

    def list_names(directory: str) -> list[str]:
        try:
            return [path.name for path in (root / directory).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as exc:
            path = root / directory
            raise StorageError("cannot list a directory", path=path, reason=exc) from exc

    return Companions(lambda name: LocalBlob(root / name), list_names)
