"""Errors of the output medium, with what an operator can do about each."""

from __future__ import annotations

import errno

from des_core.basics.errors import StorageError

_HINTS = {
    errno.ENOSPC: "free space on that file system, then run again: what is packed is kept",
    errno.EDQUOT: "raise the quota or free space, then run again: what is packed is kept",
    errno.EROFS: "the file system is mounted read-only: check it, remount it, then run again",
    errno.EACCES: "give the user that runs this the right to write there",
    errno.EPERM: "give the user that runs this the right to write there",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "the machine is out of file handles (fs.file-max)",
    errno.ENOMEM: "the machine is out of memory: lower packer.workers",
    errno.EIO: "the device failed: look at the kernel's log before running again",
    errno.ENOENT: "create the directory, or correct packer.output_dir",
    errno.ENOTDIR: "packer.output_dir must be a directory",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or lower packer.max_shard_size",
}
SYSTEMIC = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of reading a source that say nothing about that source."""


def storage_error(message: str, exc: OSError, path: str | None = None) -> StorageError:
    """The error to raise `from exc`."""
    code = exc.errno or 0
    reason = exc.strerror or str(exc)
    return StorageError(message, hint=_HINTS.get(code), path=path, reason=reason)
