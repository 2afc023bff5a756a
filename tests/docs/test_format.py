"""docs/format.md agrees with the bytes."""

import re
from pathlib import Path

from des_core.basics.routing import bucket_hex, bucket_of
from support.shards.golden import GOLDEN_DIR, make_worked_example

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def test_the_worked_example_is_the_golden_shard() -> None:
    (block,) = re.findall(r"```hex\n(.*?)```", PAGE, re.DOTALL)
    data = bytearray()
    for line in block.splitlines():
        offset, _, rest = line.partition("  ")
        assert int(offset, 16) == len(data), line
        data += bytes.fromhex(rest.partition("#")[0])
    assert data == make_worked_example() == (GOLDEN_DIR / "worked_example.des").read_bytes()


def test_the_table_of_buckets_is_right() -> None:
    rows = re.findall(
        r"^\| `(\S+)`[^|]*\| `(\w+)` \| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", PAGE, re.M
    )
    assert len(rows) == 5
    for uid, *expected in rows:
        assert [bucket_hex(bucket_of(uid, bits), bits) for bits in (4, 8, 12, 16)] == expected
