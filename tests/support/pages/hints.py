"""Commands in the sentences of messages: where one begins, and the words that are none of it."""

import re
from collections.abc import Iterator

HOLE = "\0"
# A command in a sentence: it ends where the sentence goes on.
COMMAND = re.compile(r"(des-(?:admin|retriever|migrate))((?: +(?:[\w./:=\"'<>-]|\0)+)+)")
# Words of the sentence around it, not of the command.
AFTER = {
    *("and", "or", "then", "says", "counts", "does", "shows", "names", "again", "first", "with"),
    *("will", "takes", "reads", "run", "is", "as", "in", "that", "to", "the", "makes", "asks"),
    *("prints", "sets", "writes", "also", "for", "after", "before", "if", "unless", "where", "one"),
    *(
        "has",
        "packs",
        "once",
        "goes",
        "looks",
        "of",
        "compares",
        "without",
        "named",
        "a",
        "on",
        "by",
        "was",
    ),
}


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each command of des-admin in a message, without the name of the program."""
    for match in COMMAND.finditer(text):
        if match[1] == "des-admin":
            words = match[2].split()
            ends = (n for n, word in enumerate(words) if n and word in AFTER)
            end = min(next(ends, len(words)), _end_of_sentence(words))
            yield [word.rstrip(".:") for word in words[:end]]


def _end_of_sentence(words: list[str]) -> int:
    return next((n for n, word in enumerate(words, 1) if word.endswith((".", ":"))), len(words))
