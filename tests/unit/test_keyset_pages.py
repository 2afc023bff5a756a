"""Keyset pages: each row once, the end, and a page that would come again for ever."""

from collections import namedtuple
from typing import Any

import pytest

from des_core.basics.errors import Refused
from des_core.database.transaction import keyset_pages

Row = namedtuple("Row", "number")
KEYS = {"after": "number"}


def read_from(numbers: list[int], *, longest: int = 100, begins_again: bool = False) -> Any:
    def read(bound: dict[str, Any]) -> list[Row]:
        after = bound.get("after", -1)
        rows = [Row(n) for n in numbers if n > after or (begins_again and n == after)]
        return rows[: min(bound["page_size"], longest)]

    return read


@pytest.mark.parametrize("total", [0, 1, 3, 6, 7])
def test_every_row_comes_once(total: int) -> None:
    pages = list(keyset_pages(read_from(list(range(total))), {"page_size": 3}, KEYS))
    assert [row.number for page in pages for row in page] == list(range(total))


def test_a_short_page_is_the_last_one_unless_pages_may_be_short() -> None:
    read = read_from(list(range(7)), longest=2)
    assert sum(map(len, keyset_pages(read, {"page_size": 3}, KEYS))) == 2
    assert sum(map(len, keyset_pages(read, {"page_size": 3}, KEYS, may_be_short=True))) == 7


def test_a_page_that_does_not_move_on_is_refused() -> None:
    read = read_from([1, 2, 2, 2, 2, 3], begins_again=True)
    with pytest.raises(Refused, match="same key") as refused:
        list(keyset_pages(read, {"page_size": 3}, KEYS))
    assert refused.value.facts == {"number": 2}
