"""Immutable bytes that can be read by range: a local file here, an object of a store elsewhere."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from des_core.basics.errors import StorageError, UnreadableFile
from des_core.basics.storage_errors import SYSTEMIC


class Blob(Protocol):
    """What a shard or a big file is read from. Errors of the medium are `StorageError`.

    Readers ask for up to 1 MiB at a time, mostly one range after the other, so a blob whose
    requests are dear may read ahead.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    def size(self) -> int:
        """Bytes in all."""

    def read_range(self, offset: int, length: int) -> bytes:
        """The bytes of the range; fewer only where the blob ends before it does."""

    def close(self) -> None:
        """Give back what the blob holds; harmless when repeated."""


class LocalBlob:
    """A regular file, read with `pread`. `FileNotFoundError` is the only `OSError` it lets out."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self._fd = -1
        try:
            # O_NONBLOCK: opening a FIFO in place of a shard must not wait for a writer.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._fd)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as exc:
            raise _error("cannot open the file", exc, path=self.name) from exc
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise UnreadableFile("not a regular file", path=self.name)
        self._size = status.st_size

    def size(self) -> int:
        return self._size

    def read_range(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._fd, length, offset)
            while len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as exc:
            raise _error("cannot read the file", exc, path=self.name, offset=offset) from exc
        return data

    def forget_cached(self) -> None:
        """Have the next reads come from the medium, where the system can do that."""
        with suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()


def _error(message: str, exc: OSError | ValueError, **facts: Any) -> StorageError:
    """About that file, unless no other could be read either."""
    is_systemic = isinstance(exc, OSError) and exc.errno in SYSTEMIC
    kind = StorageError if is_systemic else UnreadableFile
    return kind(message, **facts, reason=exc)


class BytesBlob:
    """A blob that is already in memory."""

    def __init__(self, data: bytes, name: str = "bytes") -> None:
        self.name = name
        self._data = data

    def size(self) -> int:
        return len(self._data)

    def read_range(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        return None
