"""Options under their old names: still understood for one release, with a note.

The line is rewritten before it is parsed, so a command knows only its present options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Renames = Mapping[str, str]
_FILTER = {"--reason": "--only"}

RENAMED: Mapping[tuple[str, ...], Renames] = {
    ("run",): {"--workers": "--jobs"},
    ("verify",): {"--threads": "--jobs"},
    ("progress",): {"--every": "--interval"},
    ("migrate", "down"): {"--sessions": "--jobs"},
    ("exceptions", "list"): _FILTER,
    ("exceptions", "retry"): _FILTER,
    ("exceptions", "resolve"): {**_FILTER, "--because": "--reason"},
    ("plan", "capacity"): {"--backlog": "--pending"},
    ("backup", "check"): {"--max-age-hours": "--max-age"},
}
# `--max-age-hours 26` was a number of hours, `--max-age 26h` is a length.
_UNITS = {"--max-age-hours": "h"}


def respell(arguments: Sequence[str], note: Callable[[str], None]) -> list[str]:
    """The same line in today's spelling; `note` is told of each old one. Nothing behind `--`."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    renames = _renames_of(words[:end])
    unit = ""
    for place in range(end):
        word, equals, value = words[place].partition("=")
        if unit:
            words[place], unit = words[place] + unit, ""
        elif word in renames:
            new = renames[word]
            unit = _UNITS.get(word, "")
            words[place] = f"{new}={value}{unit}" if equals else new
            unit = "" if equals else unit
            note(f"{word} is now {new}; the old name goes with the next release")
    return words


def _renames_of(words: Sequence[str]) -> Renames:
    for path, renames in RENAMED.items():
        if _is_command(words, path):
            if path == ("exceptions", "resolve") and not _filters_by_reason(words):
                return {}
            return renames
    return {}


def _is_command(words: Sequence[str], path: tuple[str, ...]) -> bool:
    """Whether the names of the command stand in the line, one directly behind the other."""
    return any(tuple(words[n : n + len(path)]) == path for n in range(len(words)))


def _filters_by_reason(words: Sequence[str]) -> bool:
    """`--reason` chose exceptions before it said why: beside --because, or if it is a reason."""
    names = {word.partition("=")[0] for word in words}
    if "--because" in names or names & {"--only", "--uid"}:
        return "--because" in names
    from des_core.metrics.definitions import CAUSE_OF_REASON

    return any(
        word.partition("=")[2] in CAUSE_OF_REASON or word in CAUSE_OF_REASON for word in words
    )
