"""A generator of rows that real tables hold and nobody expects: same seed, same rows.

Each row has a created_at of its own, so that a test knows it again whatever its uid became.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.servers.database import Kind, TestDatabase

FIRST_MOMENT = datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)
CONTENT = b"one content for all\n"
_CREATE: dict[Kind, str] = {
    "sqlite": "CREATE TABLE files (uid TEXT, created_at TEXT NOT NULL, file_location,"
    " size_bytes INTEGER, archived BOOLEAN NOT NULL DEFAULT 0)",
    "postgres": "CREATE TABLE files (uid text, created_at timestamptz NOT NULL,"
    " file_location text, size_bytes numeric, archived boolean NOT NULL DEFAULT false)",
    "mysql": "CREATE TABLE files (uid MEDIUMTEXT, created_at DATETIME(6) NOT NULL,"
    " file_location MEDIUMTEXT, size_bytes VARCHAR(64), archived BOOLEAN NOT NULL DEFAULT false)"
    " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
}
# Every general category of Unicode but surrogates, control characters, digits of other scripts.
_CHARACTERS = (
    "aZ09 .,#%&'\"\\/:;*?<>|~^`$(){}[]=+-_@!\t\r\n\x01\x07\x1b\x7f\x80\x85\xa0\xad\xb2ªßçŻźęłǅʰ"
    "̈ः⃝٠१๓𝟗Ⅷ¼‐‿“”«»€∑√ˆ©☃\u2028\u2029\u200b\u200f\u202e\ufeff\ufffd\uffff\U0001f4e6\U000e0001\U0010ffff中文한글"
)


Place = tuple[str, bool]
"""A location, and whether it can be read."""


@dataclass(frozen=True, slots=True)
class OddRow:
    """A row as it goes into the table. `fits` tells whether it can be packed."""

    uid: Any
    created_at: datetime
    location: Any
    size_bytes: Any
    fits: bool


def make_rows(
    kind: Kind,
    root: Path,
    good: int,
    odd: int,
    seed: int = 1,
    more_places: Sequence[Place] = (),
    are_local: bool = True,
) -> list[OddRow]:
    """`good` plain rows and `odd` odd ones, mixed; unless `are_local`, in `more_places` only."""
    chance = random.Random(seed)
    places = [*(_make_places(root) if are_local else ()), *more_places]
    readable = [place for place, fits in places if fits]
    broken = [place for place, fits in places if not fits]
    broken += [bytes(location, "utf-8") for location in readable[:1] if kind == "sqlite"]
    if kind == "sqlite":
        broken += [b"/\xff\xfe", 5, 1.5, _Broken(b"/tmp/\xff"), "/tmp/a\0b"]
    makers: list[Callable[[], tuple[Any, Any, Any, bool]]] = [
        lambda: (_odd_text(chance), chance.choice(readable), _good_size(chance), True),
        lambda: (_new_name(chance), chance.choice(broken), _good_size(chance), False),
        lambda: (_new_name(chance), chance.choice(readable), _odd_size(chance, kind), False),
        lambda: (_bad_uid(chance, kind), chance.choice(readable), _good_size(chance), False),
        lambda: (_bad_uid(chance, kind), chance.choice(broken), _odd_size(chance, kind), False),
    ]
    plain = [*readable[:3], *(place for place, fits in more_places[:3] if fits)]
    rows = [(_new_name(chance), chance.choice(plain), 20, True) for _ in range(good)]
    rows += [chance.choice(makers)() for _ in range(odd)]
    chance.shuffle(rows)
    step = timedelta(days=2) / max(len(rows), 1)
    return [
        OddRow(uid, FIRST_MOMENT + number * step, location, size, fits)
        for number, (uid, location, size, fits) in enumerate(rows)
    ]


def fill(database: TestDatabase, rows: list[OddRow]) -> None:
    """Create `files` and its index, and insert."""
    database.execute_script(
        [
            _CREATE[database.kind],
            "CREATE INDEX idx_files_created_archived ON files (created_at, archived)",
        ]
    )
    mark = "?" if database.kind == "sqlite" else "%s"
    broken = "CAST(? AS TEXT)"
    with closing(database.connector()) as connection:
        cursor = connection.cursor()
        for row in rows:
            values = (row.uid, _stored(row.created_at, database.kind), row.location, row.size_bytes)
            marks = [broken if isinstance(value, _Broken) else mark for value in values]
            cursor.execute(
                "INSERT INTO files (uid, created_at, file_location, size_bytes)"
                f" VALUES ({', '.join(marks)})",
                tuple(value.raw if isinstance(value, _Broken) else value for value in values),
            )
        connection.commit()


@dataclass(frozen=True, slots=True)
class _Broken:
    """Bytes that SQLite is to keep as text."""

    raw: bytes


def _stored(moment: datetime, kind: Kind) -> Any:
    if kind == "postgres":
        return moment
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    return text if kind == "sqlite" else moment.replace(tzinfo=None)


def _make_places(root: Path) -> Iterator[Place]:
    """Everything that may stand at the end of a path, and whether its content is CONTENT."""
    root.mkdir(parents=True, exist_ok=True)
    names = ("plain.txt", "b.jpg", "c", "ü ń", " blank ", "new\nline", "'q\"", "%s", "a" * 255)
    for name in names:
        (root / name).write_bytes(CONTENT)
        yield str(root / name), True
    (root / "link").symlink_to("plain.txt")
    (root / "nowhere").symlink_to("absent")
    (root / "loop").symlink_to("loop")
    (root / "directory").mkdir()
    os.mkfifo(root / "fifo")
    yield str(root / "link"), True
    yield f"{root}/../{root.name}//plain.txt", True
    for name in ("nowhere", "loop", "directory", "fifo", "absent", "plain.txt/x"):
        yield str(root / name), False
    for name in ("plain.txt ", "plain.txt\r", "plain.txt\n", "\ufeffplain.txt", "x" * 300):
        yield str(root / name), False
    yield from (
        (f"{root}/{'deep/' * 900}x", False),
        (str(root), False),
        (f"{root}/plain.txt/", False),
    )
    for text in (
        "",
        " ",
        "relative/x",
        "C:\\x",
        "file:///etc/hostname",
        "http://x/y",
        "~/x",
        "-",
        ".",
    ):
        yield text, False
    for text in ("/dev/null", "/dev/zero", "/proc/self/mem", "\ufeff/etc/hostname", "//", "/.."):
        yield text, False
    for text in ("s3://a b/x", "s3://", "s3:///key", "s3://\u2028/x", "s3://B/\x01", "S3://%zz/x"):
        yield text, False


def _new_name(chance: random.Random) -> str:
    return f"doc-{chance.getrandbits(64):x}.txt"


def _odd_text(chance: random.Random) -> str:
    """A uid that a shard can hold: any characters, up to 65,535 bytes."""
    if chance.random() < 0.02:
        return "ü" * chance.randint(1000, 30_000) + _new_name(chance)
    length = chance.randint(1, 40)
    return "".join(chance.choice(_CHARACTERS) for _ in range(length)) + f"{chance.getrandbits(60)}"


def _bad_uid(chance: random.Random, kind: Kind) -> Any:
    """A uid that no shard can hold."""
    values: list[Any] = ["", "x" * (65_536 + chance.randint(0, 1000)), None]
    if kind == "sqlite":
        raw = chance.randbytes(chance.randint(1, 20))
        values += [raw, _Broken(b"\xff" + raw), _Broken(b"a\xc3"), b""]
    return chance.choice(values)


def _good_size(chance: random.Random) -> Any:
    return chance.choice([len(CONTENT), None])


def _odd_size(chance: random.Random, kind: Kind) -> Any:
    values: list[Any] = [-1, 0, 21, 2**62, -(2**63)]
    if kind != "postgres":
        values += ["", "x", "20 bytes", " 20x", "0x14", "１", "1e400"]
    if kind == "sqlite":
        values += [20.5, 1e300, float("inf"), b"20", b"\xff", _Broken(b"\xff")]
    if kind == "postgres":
        values += ["NaN", 10**40, "20.5", "-Infinity"]
    if kind == "mysql":
        values += [str(10**40), "20.5", "NaN"]
    return chance.choice(values)
