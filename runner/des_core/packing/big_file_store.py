"""Stores payloads that are too big for a shard, raw, under the sha256 of their content.

0. A file that is larger than all the room of the output is refused before it fills that.
1. A draft in `_bigFiles/`; the content is streamed into it and hashed on the way.
2. The source is looked at again: had it changed, the draft goes.
3. fsync.
4. The draft is read back and hashed again.
5. It gets its name without replacing; equal bytes that are there already are as good.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing

from des_core.basics.errors import DamagedShard, StorageError
from des_core.basics.storage_errors import storage_error
from des_core.records import Reason
from des_core.shard_io.bigfiles import (
    BIG_FILES_DIR,
    BigFile,
    big_file_name,
    stream_checked,
)
from des_core.shard_io.blobs import LocalBlob
from des_core.sources.files import BigSource
from des_core.sources.roots import SourceFailure
from des_core.storage.directory import Storage
from des_core.storage.drafts import Draft

# With less than this the output is full, whatever the file.
LITTLE_ROOM = 1 << 30


class BigFileStore:
    """Adds to the big files of a storage."""

    def __init__(self, storage: Storage, check: Callable[[], None] = lambda: None) -> None:
        """`check` is called between pieces, and raises to interrupt."""
        self._storage = storage
        self._check = check

    def store(self, source: BigSource) -> BigFile:
        """Copy, publish. `SourceFailure` if the source changed, `StorageError` if we failed."""
        with closing(source):
            self._require_room(source.size)
            draft = self._storage.create_draft(BIG_FILES_DIR)
            try:
                big = _copy(source, draft)
                draft.sync()
                self._read_back(draft, big)
                self._storage.publish(draft, big_file_name(big.sha256))
            finally:
                draft.discard()
        return big

    def _require_room(self, size: int) -> None:
        """`SourceFailure` for a file that is larger than all the room there is: others are not.

        With next to no room left it is the output that fails, and writing tells.
        """
        try:
            place = os.statvfs(self._storage.scratch_dir)
        except OSError:
            return
        room = place.f_bfree * place.f_frsize
        if size > room > LITTLE_ROOM:
            raise SourceFailure(
                Reason.UNREADABLE,
                f"the file has {size:,} bytes, and the output has room for {room:,}",
            )

    def _read_back(self, draft: Draft, big: BigFile) -> None:
        blob = LocalBlob(draft.path)
        try:
            for _ in stream_checked(blob, big.sha256, big.size):
                self._check()
        except DamagedShard as exc:
            raise StorageError(
                "a big file did not read back as it was written",
                hint="look at the kernel's log and the device before running again",
                path=draft.path,
                bytes=big.size,
            ) from exc
        finally:
            blob.close()


def _copy(source: BigSource, draft: Draft) -> BigFile:
    try:
        return source.copy_to(draft.file)
    except OSError as exc:
        if exc.errno == errno.EFBIG:
            text = "larger than a file of the output may be: its file system, or ulimit -f"
            raise SourceFailure(Reason.UNREADABLE, text) from exc
        raise storage_error("cannot write a big file", exc, draft.path) from exc
