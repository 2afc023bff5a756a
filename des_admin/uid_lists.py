"""Lists of uids as `get --from-file` reads them: a line is a uid exactly, byte by byte.

Only a line feed ends a line (or NUL, if the list is one of those), for a uid may hold every other
character: a carriage return, a tab, U+2028, and it may begin with `#`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from des_core.basics.errors import UsageError
from des_core.reading.retriever import Wanted

_BOM = b"\xef\xbb\xbf"
# What may follow a tab: nothing that `5 days ago` or a word could be taken for.
_WITH_TIME = re.compile(
    r"(?P<uid>.+)\t(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Line:
    """What a line asks for. `whole` is what else it may mean: a uid that holds a tab and a time."""

    number: int
    wanted: Wanted
    whole: Wanted | None = None


def read_lines(path: Path, *, is_null: bool = False, has_comments: bool = False) -> list[Line]:
    """Lines of `uid`, or `uid<TAB>created_at`, from a file or (`-`) from stdin.

    Empty lines are left out; those that begin with # only if the list `has_comments`. Bytes that
    are no UTF-8 stay in their uid, which no archive has then.
    """
    raw = _read(path).removeprefix(_BOM)
    parts = raw.split(b"\0" if is_null else b"\n")
    return [
        _parse(number, part.decode("utf-8", "surrogateescape"))
        for number, part in enumerate(parts, 1)
        if part and not (has_comments and part.startswith(b"#"))
    ]


def hint_of_form(absent: list[str]) -> str | None:
    """Why no archive has any of these, if the list is of another form; a uid may look so, too."""
    if any("\0" in uid for uid in absent):
        return (
            "the list holds NUL bytes: if they end its uids, add --null; if it is UTF-16: "
            "iconv -f UTF-16 -t UTF-8"
        )
    if all(uid.endswith("\r") for uid in absent):
        return "these lines end in CR LF, and the CR belongs to the uid: remove it with tr -d '\\r'"
    return None


def _parse(number: int, text: str) -> Line:
    from des_admin.commands.archive_files import parse_created_at

    match = _WITH_TIME.fullmatch(text)
    if match is not None:
        try:
            moment = parse_created_at(match["time"])
        except UsageError:
            pass  # then it is no time, and the tab belongs to the uid
        else:
            return Line(number, Wanted(match["uid"], moment), Wanted(text))
    return Line(number, Wanted(text))


def _read(path: Path) -> bytes:
    try:
        if str(path) != "-":
            return path.read_bytes()
        stream = getattr(sys.stdin, "buffer", None)
        if stream is not None:
            content: bytes = stream.read()
            return content
        return sys.stdin.read().encode("utf-8", "surrogateescape")
    except OSError as exc:
        raise UsageError(f"the list cannot be read: {exc.strerror}", file=str(path)) from exc
