"""Numbers with their noun, and text of others, in the one form in which messages say them."""

from __future__ import annotations


def numbered(value: int | None, noun: str, plural: str = "") -> str:
    """`1 slice`, `1,234 slices`; a dash for nothing known. `plural` where an s is not enough."""
    amount = "–" if value is None else f"{value:,}"
    return f"{amount} {noun}" if value == 1 else f"{amount} {plural or noun + 's'}"


def one_or_many(value: int | None, one: str, many: str) -> str:
    """The word that fits a number: `is` or `are`, `waits` or `wait`."""
    return one if value == 1 else many


def printable(text: str, keep: str = "") -> str:
    """Text of others (uids, paths, messages of servers) without anything that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
