"""Opens a path so that the kernel itself refuses what leads elsewhere.

`openat2` does it in one step where the kernel has it (Linux 5.6). Elsewhere, and where a sandbox
forbids it, one part of the path is opened after the other, following nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from functools import cache

HANDLE = os.O_PATH | os.O_CLOEXEC
DIRECTORY = HANDLE | os.O_DIRECTORY

_AT_FDCWD = -100
_SYS_OPENAT2 = 437
# The number is one and the same on all machines but a few old ones.
_MACHINES = ("x86_64", "aarch64", "ppc64le", "s390x", "riscv64", "loongarch64")
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_RETRIES = 8
_NOT_HERE = (errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(root: int, relative: str, flags: int = DIRECTORY) -> int:
    """A descriptor of what lies below the open directory `root`, through no link at all.

    `OSError`: ELOOP or ENOTDIR for a link, EXDEV for a way out.
    """
    if not relative:
        return os.open(".", flags, dir_fd=root)
    if has_openat2():
        for _ in range(_RETRIES):
            try:
                return _openat2(root, relative, flags, _BENEATH | _NO_MAGICLINKS | _NO_SYMLINKS)
            except OSError as exc:
                if exc.errno != errno.EAGAIN:  # something was renamed meanwhile
                    raise
    return _walk(root, relative, flags)


def open_anywhere(path: str, flags: int = DIRECTORY, directory: int | None = None) -> int:
    """A descriptor of what a path leads to through links, but not through those of /proc.

    Without `openat2` those are followed, too: compare where it is before you use it.
    """
    if has_openat2():
        start = _AT_FDCWD if directory is None else directory
        return _openat2(start, path, flags, _NO_MAGICLINKS)
    return os.open(path, flags, dir_fd=directory)


@cache
def has_openat2() -> bool:
    """Whether this kernel has the call and nothing forbids it."""
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        return False
    try:
        os.close(_openat2(_AT_FDCWD, "/", DIRECTORY, _NO_MAGICLINKS))
    except OSError as exc:
        if exc.errno in _NOT_HERE:
            return False
        raise
    return True


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    how = _OpenHow(flags, 0, resolve)
    fd: int = _libc().syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd


def _walk(root: int, relative: str, flags: int) -> int:
    *parents, last = [part for part in relative.split("/") if part not in ("", ".")] or ["."]
    if ".." in (*parents, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), relative)
    directory = os.dup(root)
    try:
        for part in parents:
            below = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = below
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)
