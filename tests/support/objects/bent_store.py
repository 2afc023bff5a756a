"""An object store that answers single requests with an error of its own choice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple

from support.objects.faulty_proxy import Faults, FaultyProxy, running_proxy


class Said(NamedTuple):
    """Status and code of an answer."""

    status: int
    code: str


Bend = Callable[[int, str], Said | None]
"""What the request of that number and kind is answered with; None lets it through."""

CODES = (
    Said(301, "PermanentRedirect"),
    Said(400, "AuthorizationHeaderMalformed"),
    Said(400, "ExpiredToken"),
    Said(400, "InvalidArgument"),
    Said(400, "KeyTooLongError"),
    Said(400, "RequestTimeout"),
    Said(401, "Unauthorized"),
    Said(403, "AccessDenied"),
    Said(403, "InvalidAccessKeyId"),
    Said(403, "RequestTimeTooSkewed"),
    Said(403, "SignatureDoesNotMatch"),
    Said(404, "NoSuchBucket"),
    Said(404, "NoSuchKey"),
    Said(404, "NoSuchUpload"),
    Said(405, "MethodNotAllowed"),
    Said(409, "ConditionalRequestConflict"),
    Said(409, "OperationAborted"),
    Said(412, "PreconditionFailed"),
    Said(416, "InvalidRange"),
    Said(429, "TooManyRequests"),
    Said(500, "InternalError"),
    Said(501, "NotImplemented"),
    Said(503, "SlowDown"),
    Said(507, "XMinioStorageFull"),
)


class BentStore(FaultyProxy):
    """`kinds` are the requests so far: get, head, put, list, delete, begin, part, …"""

    def __init__(self, target: str, bend: Bend) -> None:
        super().__init__(target, Faults())
        self._bend = bend
        self.kinds: list[str] = []

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        kind = kind_of(head)
        said = self._bend(len(self.kinds), kind)
        self.kinds.append(kind)
        if said is None:
            return await super()._answer(head, body, writer)
        writer.write(_error(said, with_body=not head.startswith(b"HEAD ")))
        await writer.drain()
        return True


@contextlib.contextmanager
def bent_store(target: str, bend: Bend) -> Iterator[BentStore]:
    """The store, bent."""
    with running_proxy(BentStore(target, bend)) as proxy:
        yield proxy


def kind_of(head: bytes) -> str:
    """What a request is for."""
    method, path, _ = head.decode("latin-1").split(" ", 2)
    query = path.partition("?")[2]
    if method == "GET":
        return "list" if "list-type" in query or query.startswith("uploads") else "get"
    if method == "POST":
        return "delete" if "delete" in query else "begin" if query.startswith("uploads") else "end"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    return "part" if "uploadId" in query else method.lower()


def _error(said: Said, *, with_body: bool) -> bytes:
    body = b""
    if with_body:
        body = f"<Error><Code>{said.code}</Code><Message>bent</Message></Error>".encode()
    phrase = HTTPStatus(said.status).phrase
    head = f"HTTP/1.1 {said.status} {phrase}\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
