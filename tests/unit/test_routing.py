"""uid → bucket → name: the numbers that readers in the field compute too."""

import json
from datetime import date
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from des_core.basics.errors import UsageError
from des_core.basics.routing import (
    ShardName,
    UnusableUid,
    bucket_hex,
    bucket_of,
    buckets_of,
    encode_uid,
    parse_shard_name,
    shard_name,
    shard_prefix,
)
from support.shards.interop import interop_dir

N_BITS = st.integers(4, 16)


def test_buckets_agree_with_the_table_of_a_writer_in_the_field() -> None:
    rows = json.loads((interop_dir() / "routing.json").read_text())
    known = [row for row in rows if "error" not in row]
    assert len(known) >= 60
    for row in known:
        bucket = bucket_of(row["uid"], row["n_bits"])
        assert (bucket, bucket_hex(bucket, row["n_bits"])) == (row["index"], row["hex"]), row


def test_what_that_writer_cannot_route_goes_by_its_bytes() -> None:
    rows = json.loads((interop_dir() / "routing.json").read_text())
    refused = [row for row in rows if "error" in row]
    assert {row["uid"] for row in refused} == {"②"}
    for row in refused:
        expected = crc32("②".encode()) % 2 ** row["n_bits"]
        assert bucket_of(row["uid"], row["n_bits"]) == expected


@pytest.mark.parametrize(
    ("uid", "n_bits", "bucket"),
    [
        ("12345", 8, 57),
        ("007", 12, 7),
        ("٣", 8, 3),
        ("1٣", 8, 13),
        ("-5", 8, 51),
        ("a", 16, 48707),
        ("zażółć", 8, 138),
        ("", 8, 0),
    ],
)
def test_bucket_of_known_uids(uid: str, n_bits: int, bucket: int) -> None:
    assert bucket_of(uid, n_bits) == bucket


def test_a_number_longer_than_python_likes_to_convert_is_routed() -> None:
    assert bucket_of("9" * 60_000 + "0000000000065537", 16) == 1


@given(st.integers(0, 10**60), N_BITS)
def test_a_number_goes_to_its_remainder(number: int, n_bits: int) -> None:
    assert bucket_of(str(number), n_bits) == number % 2**n_bits


@given(st.lists(st.text()), N_BITS)
def test_a_batch_is_routed_as_its_uids_are(uids: list[str], n_bits: int) -> None:
    buckets = buckets_of(iter(uids), n_bits)
    assert buckets == [bucket_of(uid, n_bits) for uid in uids]
    for uid, bucket in zip(uids, buckets, strict=True):
        if not uid.isdecimal():
            assert bucket == crc32(uid.encode()) & (2**n_bits - 1)


def test_a_lone_surrogate_has_a_bucket_so_that_only_the_writer_refuses_it() -> None:
    assert 0 <= bucket_of("\ud800", 8) < 256


@pytest.mark.parametrize("n_bits", [-1, 0, 3, 17, 64])
def test_n_bits_outside_the_format_is_refused(n_bits: int) -> None:
    with pytest.raises(UsageError):
        bucket_of("1", n_bits)


@pytest.mark.parametrize("bucket", [-1, 16])
def test_a_bucket_outside_n_bits_has_no_hex(bucket: int) -> None:
    with pytest.raises(UsageError):
        bucket_hex(bucket, 4)


@given(st.dates(), N_BITS, st.data(), st.integers(0, 99_999))
def test_names_come_apart_again(day: date, n_bits: int, data: st.DataObject, part: int) -> None:
    bucket = data.draw(st.integers(0, 2**n_bits - 1))
    name = shard_name(day, bucket, part, n_bits)
    parsed = parse_shard_name(name)
    assert parsed == ShardName(day, bucket_hex(bucket, n_bits), part)
    assert str(parsed) == name
    assert parsed.bucket == bucket
    assert name.startswith(shard_prefix(day, bucket, n_bits))


def test_names_look_as_the_format_says() -> None:
    assert shard_name(date(2024, 11, 1), 0x5B, 0, 8) == "20241101_5B_0000.des"
    assert shard_name(date(7, 1, 2), 3, 12_345, 6) == "00070102_3_12345.des"
    with pytest.raises(UsageError):
        shard_name(date(2024, 11, 1), 0, -1, 8)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "20241101_5B_0000.des.tmp",
        "20241101_5b_0000.des",
        "20241101_5B_000.des",
        "20241101_5B_00000.des",
        "20241301_5B_0000.des",
        "00000101_5B_0000.des",
        "20241101_5B_0000.des\n",
        "2024110１_5B_0000.des",
        "x/20241101_5B_0000.des",
        "20241101_5B5B5_0000.des",
    ],
)
def test_other_names_are_not_shards(name: str) -> None:
    assert parse_shard_name(name) is None


def test_a_uid_is_stored_as_1_to_65535_bytes_of_utf8() -> None:
    assert encode_uid("ż") == b"\xc5\xbc"
    assert len(encode_uid("ż" * 32_767 + "a")) == 65_535
    for uid in ("", "a" * 65_536, "ż" * 32_768, "a\ud800"):
        with pytest.raises(UnusableUid):
            encode_uid(uid)
