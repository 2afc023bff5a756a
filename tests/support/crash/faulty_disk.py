"""A process that dies or a disk that fails at a chosen step; then what was not durable is lost.

`FaultyMachine` stands between the product and one directory, and counts its steps: creating,
writing, syncing, linking, unlinking, reading back, and each write and commit on a database. At the
chosen step it fails with an errno, or the process "dies": from then on nothing it does has any
effect. Afterwards `lose` brings the directory into a state that a power cut could have left: data
that was never synced is gone, cut or zero; names that were never synced are as before.

What it models is stricter than most file systems: syncing a file does not sync its name.
"""

from __future__ import annotations

import builtins
import errno
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from des_core.storage import drafts

FaultKind = Literal["die_before", "die_after", "EIO", "ENOSPC", "short"]
LossKind = Literal["nothing", "everything", "anything"]
_WRITES = ("INSERT", "UPDATE", "DELETE")


class Died(BaseException):
    """The process is dead. Not an Exception, so that nobody handles it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the step with that number; `lost` is what the power cut takes."""

    step: int
    kind: FaultKind
    lost: LossKind = "nothing"


@dataclass(slots=True)
class _Node:
    """A file. `data` is None for one that was there before and was not touched."""

    data: bytes | None = None
    durable: bytes | None = None
    is_directory: bool = False


@dataclass
class FaultyMachine:
    """Use `running()` around what the product does, then `lose`."""

    root: Path
    fault: Fault | None = None
    steps: list[str] = field(default_factory=list)
    dead: bool = False
    fired: str | None = None
    _names: dict[str, _Node] = field(default_factory=dict)
    _durable: dict[str, _Node] = field(default_factory=dict)
    _pending: dict[str, list[tuple[str, _Node | None]]] = field(default_factory=dict)
    _files: dict[int, _Node] = field(default_factory=dict)
    _directories: dict[int, str] = field(default_factory=dict)
    _wrappers: list[_File] = field(default_factory=list)
    _guard: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        for path in self.root.rglob("*"):
            node = _Node(is_directory=path.is_dir())
            self._names[str(path)] = self._durable[str(path)] = node

    @contextmanager
    def running(self) -> Iterator[None]:
        """The product runs on this machine while the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            self._patch_files(patch)
            self._patch_databases(patch)
            try:
                yield
            except Died:
                pass
            finally:
                self._stop_listening()
        for wrapper in self._wrappers:
            wrapper.real.close()

    def step(self, what: str, act: Callable[[], Any], done: Callable[[Any], None]) -> Any:
        """Count a step, do it or let it fail, and note its effect."""
        with self._guard:
            if self.dead:
                raise Died
            fault = self.fault
            is_here = fault is not None and fault.step == len(self.steps)
            self.steps.append(what)
            if not is_here or fault is None:
                result = act()
                done(result)
                return result
            self.fired = what
            if fault.kind == "die_before":
                self._die()
            if fault.kind in ("EIO", "ENOSPC", "short") and not what.startswith("database"):
                code = errno.EIO if fault.kind == "EIO" else errno.ENOSPC
                raise OSError(code, os.strerror(code))
            done(act())
            self._die()
        return None

    def _die(self) -> NoReturn:
        self.dead = True
        raise Died

    # What the product calls -----------------------------------------------------------------

    def _patch_files(self, patch: pytest.MonkeyPatch) -> None:
        real_open, real_fsync, real_close = os.open, os.fsync, os.close
        real_link, real_unlink, real_mkdir, real_pread = os.link, os.unlink, os.mkdir, os.pread
        real_rename = os.rename

        def is_ours(path: Any) -> bool:
            return isinstance(path, str) and path.startswith(f"{self.root}/")

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if (
                flags & os.O_DIRECTORY
                and path is not None
                and not flags & os.O_TMPFILE & ~os.O_DIRECTORY
            ):
                fd = real_open(path, flags, mode, dir_fd=dir_fd)
                self._directories[fd] = str(path).rstrip("/")
                return fd
            if dir_fd is None and is_ours(path):
                if flags & os.O_CREAT:
                    return self._create(path, lambda: real_open(path, flags, mode))
                fd = real_open(path, flags, mode)
                self._files[fd] = self._names.get(path, _Node())
                return fd
            fd = real_open(path, flags, mode, dir_fd=dir_fd)
            self._files.pop(fd, None)
            self._directories.pop(fd, None)
            return fd

        def fsync(fd: int) -> None:
            if fd in self._directories and self._directories[fd].startswith(str(self.root)):
                where = self._directories[fd]
                self.step(f"sync names {where}", lambda: None, lambda _: self._sync_names(where))
            elif fd in self._files:
                node = self._files[fd]
                self.step("sync file", lambda: None, lambda _: self._sync_file(node))
            else:
                real_fsync(fd)

        def close(fd: int) -> None:
            self._files.pop(fd, None)
            self._directories.pop(fd, None)
            real_close(fd)

        def link(source: str, target: str, **options: Any) -> None:
            if not is_ours(target):
                real_link(source, target, **options)
                return
            self.step(
                f"link {target}",
                lambda: real_link(source, target, **options),
                lambda _: self._name(target, self._names[source]),
            )

        def unlink(path: Any, **options: Any) -> None:
            if not is_ours(path):
                real_unlink(path, **options)
                return
            self._remember(path)
            self.step(f"unlink {path}", lambda: real_unlink(path), lambda _: self._name(path, None))

        def rename(source: Any, target: Any, **options: Any) -> None:
            if not is_ours(target):
                real_rename(source, target, **options)
                return

            def renamed(_: Any) -> None:
                self._name(target, self._names[source])
                self._name(source, None)

            self._remember(source)
            self.step(f"rename {target}", lambda: real_rename(source, target), renamed)

        def mkdir(path: Any, mode: int = 0o777, **options: Any) -> None:
            if not is_ours(path):
                real_mkdir(path, mode, **options)
                return
            self.step(
                f"mkdir {path}",
                lambda: real_mkdir(path, mode),
                lambda _: self._name(path, _Node(is_directory=True)),
            )

        def pread(fd: int, length: int, offset: int) -> bytes:
            if fd not in self._files:
                return real_pread(fd, length, offset)
            return self.step("read", lambda: real_pread(fd, length, offset), lambda _: None)

        for name, function in {
            "open": open_,
            "fsync": fsync,
            "close": close,
            "link": link,
            "unlink": unlink,
            "rename": rename,
            "mkdir": mkdir,
            "pread": pread,
        }.items():
            patch.setattr(os, name, function)
        patch.setattr(drafts, "open", self._wrap, raising=False)

    def _create(self, path: str, act: Callable[[], int]) -> int:
        def created(fd: int) -> None:
            node = _Node(b"", b"")
            self._files[fd] = node
            self._name(path, node)

        fd: int = self.step(f"create {path}", act, created)
        return fd

    def _wrap(self, fd: int, *arguments: Any, **options: Any) -> Any:
        file = builtins.open(fd, *arguments, **options)  # noqa: SIM115 - closed by the product
        wrapper = _File(self, file, self._files[fd])
        self._wrappers.append(wrapper)
        return wrapper

    def _name(self, path: str, node: _Node | None) -> None:
        if node is None:
            self._names.pop(path, None)
        else:
            self._names[path] = node
        self._pending.setdefault(str(Path(path).parent), []).append((path, node))

    def _remember(self, path: str) -> None:
        """Keep the content of a file that was there before, in case its removal is lost."""
        node = self._names.get(path)
        if node is not None and node.data is None and not node.is_directory:
            node.data = node.durable = Path(path).read_bytes()

    def _sync_names(self, directory: str) -> None:
        for path, node in self._pending.pop(directory, []):
            _apply(self._durable, path, node)

    @staticmethod
    def _sync_file(node: _Node) -> None:
        node.durable = node.data

    def _patch_databases(self, patch: pytest.MonkeyPatch) -> None:
        def commit(dialect: Any, connection: Any, *, real: Any) -> None:
            self.step("database commit", lambda: real(dialect, connection), lambda _: None)

        for kind in {DefaultDialect, *_overriding(DefaultDialect)}:
            real = kind.__dict__["do_commit"]
            patch.setattr(
                kind, "do_commit", lambda d, c, real=real: commit(d, c, real=real), raising=True
            )
        sa.event.listen(sa.Engine, "before_cursor_execute", self._before_statement)
        sa.event.listen(sa.Engine, "after_cursor_execute", self._after_statement)

    def _stop_listening(self) -> None:
        sa.event.remove(sa.Engine, "before_cursor_execute", self._before_statement)
        sa.event.remove(sa.Engine, "after_cursor_execute", self._after_statement)

    def _before_statement(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.dead:
            raise Died
        if statement.lstrip().startswith(_WRITES):
            self.step(f"database {statement.split()[:3]}", lambda: None, lambda _: None)

    def _after_statement(self, *_: Any) -> None:
        if self.dead:
            raise Died

    # After it -------------------------------------------------------------------------------

    def lose(self, kind: LossKind, chance: random.Random) -> None:
        """Bring the directory into a state that a power cut at this moment may leave."""
        if kind == "nothing":
            return
        names = dict(self._durable)
        for changes in self._pending.values():
            for path, node in changes:
                if kind == "anything" and chance.random() < 0.5:
                    _apply(names, path, node)
        for path in sorted(self.root.rglob("*"), reverse=True):
            if str(path) not in names:
                path.rmdir() if path.is_dir() else path.unlink()
        for path, node in sorted(names.items()):
            if Path(path).parent == self.root or str(Path(path).parent) in names:
                self._materialise(Path(path), node, kind, chance)

    @staticmethod
    def _materialise(path: Path, node: _Node, kind: LossKind, chance: random.Random) -> None:
        if node.is_directory:
            path.mkdir(exist_ok=True)
            return
        if node.data is None:
            return
        content = node.durable or b""
        if node.durable != node.data and kind == "anything":
            kept = chance.randrange(len(node.data) + 1)
            content = node.data[:kept] + bytes(chance.randrange(3) * (len(node.data) - kept))
            content = content[: len(node.data)]
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


class _File:
    """What the product writes a draft to."""

    def __init__(self, machine: FaultyMachine, real: BinaryIO, node: _Node) -> None:
        self.machine, self.real, self.node = machine, real, node

    def write(self, data: Any) -> int:
        fault = self.machine.fault
        if (
            fault is not None
            and fault.kind == "short"
            and fault.step == len(self.machine.steps)
            and len(data) > 1
        ):
            self._append(bytes(data[: len(data) // 2]))
        written: int = self.machine.step("write", lambda: self._append(bytes(data)), lambda _: None)
        return written

    def _append(self, data: bytes) -> int:
        self.real.write(data)
        self.node.data = (self.node.data or b"") + data
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _apply(names: dict[str, _Node], path: str, node: _Node | None) -> None:
    if node is None:
        names.pop(path, None)
    else:
        names[path] = node


def _overriding(kind: type) -> Iterator[type]:
    """Subclasses that have a `do_commit` of their own."""
    for child in kind.__subclasses__():
        if "do_commit" in child.__dict__:
            yield child
        yield from _overriding(child)
