"""An HTTP proxy between a client and a server on loopback that makes a day at the office of it.

Each request may be delayed, answered with an error, carried out but never answered, or answered
with a body that is cut off. What happens to which request follows from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

ERROR = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 66\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>please wait</Message></Error>"
)

KNOWN = (
    b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "%08x"\r\n'
    b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n"
)


@dataclass
class Faults:
    """Of each hundred requests, how many meet what. `delay_s` is added to each.

    Requests of the method `spared` meet nothing.
    """

    delay_s: float = 0.0
    error: float = 0.0
    cut_before: float = 0.0
    lost_answer: float = 0.0
    silent_answer: float = 0.0
    cut_answer: float = 0.0
    seed: int = 1
    spared: str = ""
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def draw(self) -> str:
        """What happens to the next request."""
        number = self.chance.uniform(0, 100)
        for name in ("error", "cut_before", "lost_answer", "silent_answer", "cut_answer"):
            number -= getattr(self, name)
            if number < 0:
                return name
        return "nothing"


class FaultyProxy:
    """`url` stands for the server's; `met` counts what requests met, `requests` them by method.

    `most_at_once` is how many were under way together. `objects` (path → content) are answered for
    GET without asking the server, which may be much slower than what is to be measured.
    """

    def __init__(self, target: str, faults: Faults) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self.faults = faults
        self.met: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.objects: dict[str, bytes] = {}
        self.most_at_once = 0
        self._at_once = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            while await self._exchange(reader, writer):
                pass
        writer.close()
        if task is not None:
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection lives on."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(head, body, writer)
        finally:
            self._at_once -= 1

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        method = head.split(b" ", 1)[0].decode()
        self.requests[method] += 1
        fault = "nothing" if method == self.faults.spared else self.faults.draw()
        self.met[fault] += 1
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        if fault == "cut_before":
            return False
        if fault == "error":
            writer.write(ERROR)
            await writer.drain()
            return True
        answer = await self._forward(head, body, is_head=method == "HEAD")
        if fault == "lost_answer":
            return False
        if fault == "silent_answer":
            await asyncio.sleep(3600)
        if fault == "cut_answer" and len(answer) > 1:
            writer.write(answer[: len(answer) - max(1, len(answer) // 3)])
            await writer.drain()
            return False
        writer.write(answer)
        await writer.drain()
        return True

    async def _forward(self, head: bytes, body: bytes, *, is_head: bool) -> bytes:
        known = self.objects.get(head.split(b" ", 2)[1].decode())
        if known is not None and head.startswith(b"GET "):
            return KNOWN % (len(known), hash(known) & 0xFFFFFFFF) + known
        reader, writer = await asyncio.open_connection(*self._target, limit=1 << 20)
        try:
            writer.write(head + body)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            if not is_head and b" 204 " not in answer[:16]:
                answer += await reader.readexactly(_length(answer))
            return answer
        finally:
            writer.close()

    def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """In a thread of its own, until `stop`."""

        async def main() -> None:
            server = await self.start()
            ready.set()
            await stop.wait()
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()

    def call(self, event: asyncio.Event) -> None:
        """Set an event of the proxy's loop from outside."""
        self._loop.call_soon_threadsafe(event.set)


Proxy = TypeVar("Proxy", bound=FaultyProxy)


@contextlib.contextmanager
def faulty_proxy(target: str, faults: Faults) -> Iterator[FaultyProxy]:
    """The proxy, running."""
    with running_proxy(FaultyProxy(target, faults)) as proxy:
        yield proxy


@contextlib.contextmanager
def running_proxy(proxy: Proxy) -> Iterator[Proxy]:
    """Any proxy of this kind, running."""
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=proxy.run, args=(ready, stop), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield proxy
    finally:
        proxy.call(stop)
        thread.join(60)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
