"""Objects as sources: what each can be, and what becomes of it."""

import os
import sys
from io import BytesIO
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.basics.object_config import ObjectStoreConfig, is_object_url, split_url
from des_core.packer_planner import PackerConfig
from des_core.records import Reason
from des_core.sources.mixed import MixedSources
from des_core.sources.objects import ObjectSources
from des_core.sources.roots import SourceFailure
from support.objects.bent_store import Said, bent_store
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import ObjectServer
from support.shards.packing import Corpus, pack_rows

THRESHOLD = 1 << 20


# Where a store has nothing to say, or is not there at all; a busy machine answers late.
A_SECOND = {"retry_for_s": 1.0, "timeout_s": 1.0}


def sources(endpoint: str, roots: tuple[str, ...] = (), **fields: float) -> ObjectSources:
    times = {"retry_for_s": 30.0, "timeout_s": 30.0, **fields}
    return ObjectSources(THRESHOLD, ObjectStoreConfig(endpoint=endpoint, **times), roots)  # type: ignore[arg-type]


def reason_of(opener: ObjectSources, location: str, size: int | None = None) -> Reason:
    with pytest.raises(SourceFailure) as error:
        opener.read(location, size)
    return error.value.reason


@pytest.mark.parametrize(
    "key",
    ["plain", "a b", "a%20b", "ü/ä?#+&=", '{x}^`|~<>"[]*', "back\\slash", "x" * 900],
)
def test_keys_of_every_sort(bucket: ObjectServer, key: str) -> None:
    location = bucket.put(key, b"content")
    opener = sources(bucket.url)
    assert opener.read(location, 7) == b"content"
    assert opener.read(location, None) == b"content"
    assert reason_of(opener, location, 8) is Reason.SIZE_MISMATCH


LIKELY = ("abs", "a/b", "trailing", "x", "ab")


# A line break is left out: the server of the tests answers 404 to each request for such a key.
@pytest.mark.parametrize(
    "key", ["/abs", "a//b", "trailing/", "../x", "a/./b", "a\tb", "//", ".", "\x01\x85"]
)
def test_keys_that_look_like_paths_are_keys(bucket: ObjectServer, key: str) -> None:
    for likely in LIKELY:
        bucket.put(likely, b"another object")
    opener = sources(bucket.url)
    assert reason_of(opener, f"s3://archive/{key}") is Reason.MISSING
    location = bucket.put(key, b"content")
    assert opener.read(location, 7) == b"content"
    assert opener.facts(location).size == 7
    content = os.urandom(THRESHOLD + 10)
    big = opener.read(bucket.put(key, content), None)
    assert not isinstance(big, bytes)
    target = BytesIO()
    big.copy_to(target)
    assert target.getvalue() == content


@pytest.mark.parametrize(
    ("end", "name"), [(" ", "space"), ("\r", r"'\r'"), ("\u2028", "line separator")]
)
def test_an_ending_that_nobody_sees_is_named(bucket: ObjectServer, end: str, name: str) -> None:
    opener = sources(bucket.url)
    for look in (lambda at: opener.read(at, None), opener.facts):
        with pytest.raises(SourceFailure) as error:
            look(bucket.put("a", b"a") + end)
        assert f"the location ends with {name}" in error.value.message


@pytest.mark.parametrize("key", ["", "\udcff", "a\ud800b"])
def test_keys_that_cannot_be_asked_for(bucket: ObjectServer, key: str) -> None:
    assert reason_of(sources(bucket.url), f"s3://archive/{key}") is Reason.BAD_LOCATION


@pytest.mark.parametrize(
    "location", ["s3://a b/x", "s3://", "s3://%zz/x", "az://x/y", "s3://\x00/x"]
)
def test_a_place_that_no_client_can_be_made_for(bucket: ObjectServer, location: str) -> None:
    bucket.put("a", b"a")
    opener = sources(bucket.url, **A_SECOND)
    for _ in range(2):
        assert reason_of(opener, location) in (Reason.BAD_LOCATION, Reason.UNREADABLE)
    assert opener.read("s3://archive/a", 1) == b"a"


def test_without_the_extra_the_row_says_what_to_install(
    bucket: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SourceFailure, match="pip install") as error:
        sources(bucket.url).read("s3://archive/a", None)
    assert error.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "said", [Said(403, "AccessDenied"), Said(404, "NoSuchBucket"), Said(301, "PermanentRedirect")]
)
def test_what_the_store_says_of_one_object_is_that_rows_fault(
    bucket: ObjectServer, said: Said
) -> None:
    location = bucket.put("a", b"a")
    with bent_store(bucket.url, lambda number, kind: said if kind == "get" else None) as proxy:
        assert reason_of(sources(proxy.url), location) is Reason.UNREADABLE


def test_that_a_place_cannot_be_read_takes_two_of_its_objects(bucket: ObjectServer) -> None:
    first, second = bucket.put("a", b"a"), bucket.put("b", b"b")
    expired = Said(400, "ExpiredToken")
    with bent_store(bucket.url, lambda number, kind: expired) as proxy:
        opener = sources(proxy.url)
        for _ in range(2):
            assert reason_of(opener, first) is Reason.UNREADABLE
        with pytest.raises(StorageError, match="credentials"):
            opener.read(second, None)


def test_what_is_missing_or_out_of_bounds(bucket: ObjectServer) -> None:
    bucket.put("in/a", b"a")
    bucket.put("inside/a", b"a")
    opener = sources(bucket.url)
    assert reason_of(opener, "s3://archive/absent") is Reason.MISSING
    assert reason_of(opener, "s3:///a") is Reason.BAD_LOCATION
    rooted = sources(bucket.url, ("s3://archive/in", "/mnt/files"))
    assert rooted.read("s3://archive/in/a", 1) == b"a"
    assert reason_of(rooted, "s3://archive/inside/a") is Reason.OUTSIDE_ROOTS
    mixed = MixedSources(PackerConfig("/tmp", source_roots=("s3://archive/in",)))
    with pytest.raises(SourceFailure) as error:
        mixed.read("/etc/hostname", None)
    assert error.value.reason is Reason.OUTSIDE_ROOTS


def test_a_large_object_is_streamed(bucket: ObjectServer) -> None:
    content = os.urandom(20 << 20)
    location = bucket.put("large", content)
    big = sources(bucket.url).read(location, len(content))
    assert not isinstance(big, bytes)
    target = BytesIO()
    copied = big.copy_to(target)
    assert (copied.size, target.getvalue()) == (len(content), content)


def test_a_large_object_that_changes_is_refused(bucket: ObjectServer) -> None:
    location = bucket.put("large", os.urandom(20 << 20))
    big = sources(bucket.url).read(location, None)
    assert not isinstance(big, bytes)
    bucket.put("large", os.urandom(20 << 20))
    with pytest.raises(SourceFailure) as error:
        big.copy_to(BytesIO())
    assert error.value.reason is Reason.CHANGED


def test_one_bad_object_is_not_a_bad_day(bucket: ObjectServer) -> None:
    location = bucket.put("poison", b"x")
    with faulty_proxy(bucket.url, Faults(error=100, spared="HEAD")) as proxy:
        opener = sources(proxy.url, retry_for_s=1.0)
        assert reason_of(opener, location) is Reason.UNREADABLE
    with faulty_proxy(bucket.url, Faults(error=100)) as proxy:
        opener = sources(proxy.url, **A_SECOND)
        assert reason_of(opener, location) is Reason.UNREADABLE
        with pytest.raises(StorageError):
            opener.read(bucket.put("another", b"x"), None)


def test_urls() -> None:
    assert is_object_url("s3://b/k") and is_object_url("gs://b/k") and is_object_url("AZ://c/k")
    assert (
        not is_object_url("/s3://b") and not is_object_url("http://x") and not is_object_url(None)
    )
    assert split_url("S3://Bucket/a/b") == ("s3://Bucket", "a/b")


def test_many_requests_are_under_way_at_once(
    bucket: ObjectServer, tmp_path: Path, files: int = 400
) -> None:
    """With 100 ms for each request, one at a time would take 40 s for the sources alone."""
    corpus = Corpus(tmp_path)
    with faulty_proxy(bucket.url, Faults(delay_s=0.1)) as proxy:
        for number in range(files):
            proxy.objects[f"/archive/source/{number}"] = b"%d" % number
            corpus.add_row(f"doc-{number}", f"s3://archive/source/{number}")
        store = ObjectStoreConfig(endpoint=proxy.url)
        packed = pack_rows(corpus.rows, tmp_path / "out", object_store=store)
        assert packed.files_out == files
        assert proxy.requests["GET"] == files
        assert proxy.most_at_once >= 20
