"""Where a file belongs: uid to bucket, and (day, bucket, part) to the name of a shard.

Readers in the field compute the same numbers, so nothing here may ever change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from zlib import crc32

from des_core.basics.errors import UsageError


def part_of(name: str) -> int:
    """The part that a shard's name says; -1 where it is not the name of a shard."""
    parsed = parse_shard_name(name)
    return -1 if parsed is None else parsed.part


def order_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Shard names of one (day, bucket) in the order of their parts."""
    return tuple(sorted(names, key=lambda name: (part_of(name), name)))


MIN_BITS = 4
MAX_BITS = 16
MAX_UID_BYTES = 0xFFFF

_NAME = re.compile(
    r"(?P<day>[0-9]{8})_(?P<hex>[0-9A-F]{1,4})_(?P<part>[0-9]{4}|[1-9][0-9]{4,8})\.des"
)


class UnusableUid(UsageError):
    """A uid that the shard format cannot hold: empty, too long, or not Unicode text."""


@dataclass(frozen=True, slots=True)
class ShardName:
    """A shard's name taken apart. `hex` keeps its width, which depends on `n_bits`."""

    day: date
    hex: str
    part: int

    @property
    def bucket(self) -> int:
        """The bucket's number."""
        return int(self.hex, 16)

    def __str__(self) -> str:
        return f"{day_text(self.day)}_{self.hex}_{self.part:04d}.des"


def encode_uid(uid: str) -> bytes:
    """The uid as a shard stores it: 1 to 65,535 bytes of UTF-8, else `UnusableUid`."""
    try:
        name = uid.encode()
    except UnicodeEncodeError as exc:
        raise UnusableUid("the uid is not valid Unicode text", uid=ascii(uid)[:80]) from exc
    if not name:
        raise UnusableUid("the uid is empty")
    if len(name) > MAX_UID_BYTES:
        raise UnusableUid(
            "the uid is too long for a shard",
            uid=uid[:40] + "…",
            bytes=len(name),
            limit=MAX_UID_BYTES,
        )
    return name


def bucket_of(uid: str, n_bits: int) -> int:
    """The bucket of one uid, `0 .. 2**n_bits - 1`. Every string has one."""
    return buckets_of((uid,), n_bits)[0]


def buckets_of(uids: Iterable[str], n_bits: int) -> list[int]:
    """The buckets of many uids, in their order.

    Decimal digits of any script count as a number modulo 2**n_bits. As 2**n divides
    10**n, its last 16 digits decide for every n_bits up to 16, so a number of any length
    costs the same. Anything else goes by the CRC-32 of its UTF-8 bytes; lone surrogates,
    which no shard can hold, still get a bucket, so that the writer is the one to refuse them.
    """
    mask = bucket_count(n_bits) - 1
    return [
        (int(uid[-16:]) if uid.isdecimal() else crc32(uid.encode("utf-8", "surrogatepass"))) & mask
        for uid in uids
    ]


def bucket_count(n_bits: int) -> int:
    """How many buckets there are: 2**n_bits, with n_bits from 4 to 16."""
    if not MIN_BITS <= n_bits <= MAX_BITS:
        raise UsageError(f"n_bits must be from {MIN_BITS} to {MAX_BITS}", n_bits=n_bits)
    return 1 << n_bits


def bucket_hex(bucket: int, n_bits: int) -> str:
    """The bucket in upper-case hexadecimal, zero-padded to `n_bits // 4` digits."""
    if not 0 <= bucket < bucket_count(n_bits):
        raise UsageError("no such bucket", bucket=bucket, n_bits=n_bits)
    return f"{bucket:0{n_bits // 4}X}"


def shard_name(day: date, bucket: int, part: int, n_bits: int) -> str:
    """`{YYYYMMDD}_{HEX}_{part:04d}.des`; `day` is the UTC day of `created_at`."""
    if part < 0:
        raise UsageError("a part's number is never negative", part=part)
    return f"{shard_prefix(day, bucket, n_bits)}{part:04d}.des"


def shard_prefix(day: date, bucket: int, n_bits: int) -> str:
    """What the names of all parts of a (day, bucket) begin with: `{YYYYMMDD}_{HEX}_`."""
    return f"{day_text(day)}_{bucket_hex(bucket, n_bits)}_"


def parse_shard_name(name: str) -> ShardName | None:
    """A shard's name taken apart, or None where `name` is not one that `shard_name` gives."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    text = match["day"]
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return ShardName(day, match["hex"], int(match["part"]))


def day_text(day: date) -> str:
    """`YYYYMMDD`, as names of shards begin."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"
