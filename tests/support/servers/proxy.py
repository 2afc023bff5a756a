"""A TCP proxy on the loopback that cuts a connection at a chosen COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Literal, Self

import sqlalchemy as sa

Cut = Literal["before", "after"]
# The simple query of PostgreSQL's protocol, and the command of MySQL's.
_COMMITS = (b"Q\x00\x00\x00\x0bCOMMIT\x00", b"\x07\x00\x00\x00\x03COMMIT")
_PIECE = 1 << 16


@dataclass
class CuttingProxy:
    """Forwards to a server; a context manager. `commits` counts all that went through.

    At COMMIT number `cut_at` (from 0) it ends that connection: `before` the server has seen it, or
    `after` the server has answered, and nobody hears the answer.
    """

    host: str
    port: int
    cut: Cut = "before"
    cut_at: int | None = None
    commits: int = 0
    has_cut: bool = False
    _listener: socket.socket = field(default_factory=socket.socket)
    _threads: list[threading.Thread] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._sockets):
            _end(sock)
        for thread in self._threads:
            thread.join()

    def url(self, url: str) -> str:
        """The same database, through this proxy."""
        port = self._listener.getsockname()[1]
        through = sa.make_url(url).set(host="127.0.0.1", port=port)
        return through.render_as_string(hide_password=False)

    def arm(self, cut: Cut, cut_at: int) -> None:
        """Count from 0 again, and cut there."""
        with self._guard:
            self.cut, self.cut_at, self.commits, self.has_cut = cut, cut_at, 0, False

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self.host, self.port))
                self._sockets += [client, server]
                mute = threading.Event()
                self._start(self._upstream, client, server, mute)
                self._start(self._downstream, client, server, mute)

    def _upstream(
        self, client: socket.socket, server: socket.socket, mute: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(_PIECE):
                if self._is_the_one(data):
                    if self.cut == "before":
                        break
                    mute.set()
                server.sendall(data)
        if not mute.is_set():
            _end(client)
            _end(server)

    def _downstream(
        self, client: socket.socket, server: socket.socket, mute: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_PIECE):
                if mute.is_set():
                    break
                client.sendall(data)
        _end(client)
        _end(server)

    def _is_the_one(self, data: bytes) -> bool:
        if not any(form in data for form in _COMMITS):
            return False
        with self._guard:
            number = self.commits
            self.commits += 1
            self.has_cut = self.has_cut or number == self.cut_at
            return number == self.cut_at


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
