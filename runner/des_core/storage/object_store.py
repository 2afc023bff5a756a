"""One bucket, or a prefix in it: requests that are tried again, and errors that say what to do.

Safe to use from many threads; every call waits for its answer, so threads are what keeps many
requests in flight. Creating never replaces: the store itself refuses (`If-None-Match: *`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from des_core.basics.errors import StorageError, UsageError
from des_core.basics.object_config import ObjectStoreConfig, is_s3, split_url
from des_core.process.logs import get_logger
from des_core.storage.answers import (
    NOT_IMPLEMENTED,
    WITHOUT_CODE,
    Answer,
    ObjectRefused,
    answer_of,
    final_error,
    is_misuse,
    is_of_botocore,
)
from des_core.storage.any_key import AnyKeys, is_plain
from des_core.storage.object_uploads import UnfinishedUploads
from des_core.storage.s3_client import S3Client

if TYPE_CHECKING:
    from pathlib import Path

Result = TypeVar("Result")

log = get_logger("objects")
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
LIST_PAGE = 1000
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4
EXTRA_HINT = "install it: pip install 'des-admin[s3]'"
CONNECT_HINT = "check the URL, AWS_REGION, AWS_ENDPOINT_URL and packer.object_store"
# Without any the client opens no store, not even one without TLS, and says only "builder error".
AUTHORITIES_HINT = (
    "does it find certificate authorities on this machine? Install the package ca-certificates, or "
    f"name their file in SSL_CERT_FILE; else {CONNECT_HINT}"
)


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a store says about an object. `etag` changes whenever the content does."""

    name: str
    size: int
    etag: str | None
    modified: datetime


class ObjectStore:
    """The objects below a URL like `s3://bucket/prefix`; names are relative to it.

    A missing object is `FileNotFoundError`, one that changed while it was read `BlockingIOError`, a
    name that the client cannot ask for `ValueError`; everything else is a `StorageError`, and an
    `ObjectRefused` where the store's answer is about this object or bucket alone.
    """

    def __init__(
        self, url: str, config: ObjectStoreConfig, check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called before each try, and raises to interrupt."""
        self.url = url.rstrip("/")
        self._config = config
        self._check = check
        self._store = _connect(self.url, config)
        root, prefix = split_url(self.url)
        client = S3Client(root.partition("://")[2], config)
        self.uploads = UnfinishedUploads(self.url, config, client)
        # In a whole bucket of S3 the names are keys of others.
        self._any_keys = AnyKeys(client) if is_s3(root) and not prefix else None

    def get(self, name: str) -> tuple[ObjectFacts, bytes]:
        """The whole object, for small ones."""
        return self._retried("read", name, lambda: _whole(self._open(name, {})))

    def get_unless_larger(self, name: str, limit: int) -> tuple[ObjectFacts, bytes | None]:
        """The whole object, or None for the content of one above `limit` bytes."""

        def read() -> tuple[ObjectFacts, bytes | None]:
            result = self._open(name, {})
            facts = _facts(result.meta)
            return (facts, None) if facts.size > limit else _whole(result)

        return self._retried("read", name, read)

    def get_tail(self, name: str, length: int) -> tuple[ObjectFacts, bytes]:
        """The last bytes, up to `length` of them, and the size of all, mostly by one request."""
        return self._retried("read", name, lambda: self._read_tail(name, length))

    def get_range(self, name: str, start: int, end: int, etag: str | None = None) -> bytes:
        """Bytes `start` up to `end`, exactly. `BlockingIOError` where the object has changed."""
        options: dict[str, Any] = {"range": (start, end)}
        if etag is not None:
            options["if_match"] = etag

        def read() -> bytes:
            content = _whole(self._open(name, options))[1]
            if len(content) != end - start:
                raise ConnectionError(f"{len(content)} bytes came instead of {end - start}")
            return content

        return self._retried("read", name, read)

    def head(self, name: str) -> ObjectFacts:
        """Size and etag, without the content."""
        return self._retried("look at", name, lambda: _facts(self._look(name)))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object by one request; False where there is one already, which stays.

        After an answer that got lost this is False too, and the object may be ours: compare.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def put() -> bool:
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError) as exc:
                return _is_there_already(exc)
            return True

        return self._retried("write", name, put)

    def create_large(self, name: str, path: Path, draft: str) -> bool:
        """The same for a large file: in parts to the name `draft`, then copied without replacing.

        The draft is deleted in the end; what cannot be deleted has a name that tells what it is.
        Uploads that were begun and whose id never reached us are looked for and aborted.
        """
        import obstore

        def upload() -> None:
            with _upload_may_be_done():
                obstore.put(
                    self._store,
                    draft,
                    path,
                    use_multipart=True,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )

        try:
            self._retried("write", draft, upload)
            return self.copy(draft, name)
        finally:
            self._delete_draft(draft)
            for begun in (draft, name):
                self.uploads.abort(begun)

    def _delete_draft(self, draft: str) -> None:
        try:
            self.delete(draft)
        except StorageError as exc:
            log.warning("draft_not_deleted", place=self.url, draft=draft, reason=str(exc))

    def copy(self, name: str, to: str) -> bool:
        """Copy within the store; False where there is an object under the other name already."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def copy() -> bool:
            try:
                with _upload_may_be_done():
                    obstore.copy(self._store, name, to, overwrite=False)
            except (AlreadyExistsError, PreconditionError) as exc:
                return _is_there_already(exc)
            return True

        return self._retried("copy", to, copy)

    def delete(self, name: str) -> None:
        """Remove an object; harmless where there is none."""
        import obstore

        def delete() -> None:
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                return

        self._retried("delete", name, delete)

    def walk(self, directory: str = "", after: str | None = None) -> Iterator[ObjectFacts]:
        """All objects below a directory in the order of their names, from behind `after` on.

        Asks for a page when it is needed, so that whoever stops early pays for what it saw.
        """
        last = after
        while True:
            page = self._retried("list", directory, partial(self._list_page, directory, last))
            for facts in page:
                if last is not None and facts.name <= last:
                    raise StorageError(
                        "the store does not list its objects in the order of their names",
                        hint="use an ordinary bucket, not a directory bucket",
                        place=self.url,
                    )
                last = facts.name
                yield facts
            if len(page) < LIST_PAGE:
                return

    def is_reachable(self) -> bool:
        """Whether the store answers and knows us, asked once: tells a bad object from a bad day."""
        name = f".probe-{secrets.token_hex(8)}"
        try:
            self._head(name)
        except FileNotFoundError:
            return True
        except Exception:
            return self._is_refused(name)
        return True

    def _is_refused(self, name: str) -> bool:
        """Whether the answer is about that one object: HEAD does not say why."""
        try:
            self._open(name, {})
        except Exception as exc:
            return isinstance(self._judge(exc, "read", name), ObjectRefused | FileNotFoundError)
        return True

    def _read_tail(self, name: str, length: int) -> tuple[ObjectFacts, bytes]:
        from obstore.exceptions import GenericError, NotSupportedError

        try:
            return _whole(self._open(name, {"range": {"suffix": length}}))
        except (GenericError, NotSupportedError):
            # An empty object has no last bytes to ask for, and Azure knows no such range.
            facts = _facts(self._head(name))
            if facts.size == 0:
                return facts, b""
            return _whole(self._open(name, {"range": (max(0, facts.size - length), facts.size)}))

    def _list_page(self, directory: str, after: str | None) -> list[ObjectFacts]:
        import obstore

        stream = obstore.list(self._store, directory or None, offset=after, chunk_size=LIST_PAGE)
        return [_facts(meta) for meta in next(iter(stream), [])]

    def _look(self, name: str) -> Any:
        """As `_head`. An error of HEAD has no code: no object, no bucket and no right look alike
        until one byte is asked for."""
        try:
            return self._head(name)
        except Exception as exc:
            answer = answer_of(exc)
            if answer.code or answer.status not in WITHOUT_CODE:
                raise
        return self._open(name, {"range": (0, 1)}).meta

    def _head(self, name: str) -> Any:
        import obstore

        if self._any_keys is not None and not is_plain(name):
            return self._any_keys.head(name)
        return obstore.head(self._store, name)

    def _open(self, name: str, options: Any) -> Any:
        import obstore

        if self._any_keys is not None and not is_plain(name):
            return self._any_keys.open(name, options)
        return obstore.get(self._store, name, options=options)

    def _retried(self, verb: str, name: str, attempt: Callable[[], Result]) -> Result:
        """Try until it works, is refused for good, or `retry_for_s` have passed."""
        deadline = time.monotonic() + self._config.retry_for_s
        wait_s = FIRST_WAIT_S
        while True:
            self._check()
            try:
                return attempt()
            except Exception as exc:
                final = self._judge(exc, verb, name)
                if final is not None:
                    raise final from exc
                if time.monotonic() + wait_s > deadline:
                    raise self._given_up(exc, verb, name) from exc
            time.sleep(wait_s * (0.5 + secrets.randbelow(1000) / 1000))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _judge(self, exc: Exception, verb: str, name: str) -> Exception | None:
        """The error to raise at once; None where another try may help."""
        from obstore import exceptions

        if isinstance(exc, StorageError):
            return exc
        if isinstance(exc, exceptions.InvalidPathError) or is_misuse(exc):
            return ValueError(f"an object store client cannot ask for {name!r}")
        if isinstance(exc, exceptions.NotSupportedError):
            return final_error(Answer(NOT_IMPLEMENTED), verb, name, self.url)
        if isinstance(exc, FileNotFoundError) and answer_of(exc).status is None:
            return exc
        if isinstance(exc, exceptions.BaseError | OSError) or is_of_botocore(exc):
            return final_error(answer_of(exc), verb, name, self.url)
        return exc

    def _given_up(self, exc: Exception, verb: str, name: str) -> StorageError:
        return StorageError(
            f"the object store did not {verb} an object, however often it was asked",
            hint="look at the store's own status; then run again: what is packed is kept",
            place=self.url,
            object=name,
            tried_for_s=self._config.retry_for_s,
            reason=_short(exc),
        )


def _is_there_already(exc: Exception) -> bool:
    """False, for it was not created; raises what is no answer to that question."""
    if answer_of(exc).is_conflict:
        raise exc
    return False


def _connect(url: str, config: ObjectStoreConfig) -> Any:
    try:
        from obstore.store import from_url
    except ImportError as exc:
        raise UsageError("object stores need the extra s3", hint=EXTRA_HINT, place=url) from exc
    given: dict[str, Any] = {}
    if is_s3(url):
        given = {"copy_if_not_exists": "multipart", "conditional_put": "etag"}
        given["virtual_hosted_style_request"] = config.virtual_hosted
        given |= {"endpoint": config.endpoint} if config.endpoint else {}
        given |= {"region": config.region} if config.region else {}
    options: dict[str, Any] = {"timeout": timedelta(seconds=config.timeout_s)}
    if config.allow_http or (config.endpoint or "").startswith("http://"):
        options["allow_http"] = True
    # The client's own tries are for the smallest hiccups; ours can be interrupted.
    retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=config.timeout_s)}
    try:
        return from_url(url, config=given, client_options=options, retry_config=retry)  # type: ignore[call-overload]
    except Exception as exc:
        raise StorageError(
            "the object store cannot be used",
            hint=AUTHORITIES_HINT if "builder error" in str(exc) else CONNECT_HINT,
            place=url,
            reason=_short(exc),
        ) from exc


@contextmanager
def _upload_may_be_done() -> Iterator[None]:
    """Where the answer to the last request of an upload got lost, the client asks again, and the
    store knows of no such upload any more: not a missing object, but worth another try."""
    try:
        yield
    except FileNotFoundError as exc:
        raise ConnectionResetError("the store knows of no such upload") from exc


def _whole(result: Any) -> tuple[ObjectFacts, bytes]:
    return _facts(result.meta), bytes(result.bytes())


def _facts(meta: Any) -> ObjectFacts:
    return ObjectFacts(meta["path"], meta["size"], meta["e_tag"], meta["last_modified"])


def _short(exc: Exception) -> str:
    """The first lines of what the client says, without its debug output."""
    return " ".join(str(exc).partition("Debug source")[0].split())[:300]
