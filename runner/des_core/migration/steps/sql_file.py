"""The steps of a revision, as `sql/<dialect>/migrations/NAME.up.sql` and `.down.sql` hold them.

A file is a list of blocks, each beginning with `-- step: NAME` and holding one statement:
`-- purpose:` says what for, `-- lock:` what it locks, `-- cost:` what it costs. `-- only: script`
marks what only a script for a DBA needs, because the program does it in pages or looks at the
live state instead (`together`: only where all is in one database; `apart`: only where not);
`-- only: program` the opposite. `-- outside: transaction` marks a statement that refuses to run
inside one; steps with the same `-- group:` belong into one transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from des_core.basics.errors import WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.basics.resources import resource_dir
from des_core.database.catalog import Catalog, Statement

_STEP = re.compile(r"^-- step: (\w+)\n", re.MULTILINE)
_TAG = re.compile(r"^-- (lock|cost|only|outside|group): (.*)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a revision, and what it does to a busy database."""

    name: str
    statement: Statement
    lock: str
    cost: str
    only: str
    in_transaction: bool
    group: str

    def is_for_script(self, *, apart: bool) -> bool:
        """`apart`: the watermark lives in another database than `files`."""
        return self.only in ("", "script", "apart" if apart else "together")


def load_steps(catalog: Catalog, file_name: str, *, folder: str = "migrations") -> tuple[Step, ...]:
    """The steps of `0001_ledger.up` or the like; WrongSchema where there is no such file."""
    texts = _read_texts(catalog.dialect, folder, file_name)
    return tuple(_parse_step(catalog, name, body) for name, body in texts)


def has_step(catalog: Catalog, file_name: str, name: str) -> bool:
    """Whether the file of this dialect has the step: what only others need, it leaves out."""
    return any(found == name for found, _ in _read_texts(catalog.dialect, "migrations", file_name))


def get_step(catalog: Catalog, file_name: str, name: str, *, folder: str = "migrations") -> Step:
    """One step by name."""
    for found, body in _read_texts(catalog.dialect, folder, file_name):
        if found == name:
            return _parse_step(catalog, name, body)
    raise WrongSchema(f"the migration {file_name} has no step {name} for {catalog.dialect}")


@cache
def _read_texts(dialect: Dialect, folder: str, file_name: str) -> tuple[tuple[str, str], ...]:
    """The name of each step of a file and its text, unfilled."""
    path = resource_dir("sql") / dialect / folder / f"{file_name}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise WrongSchema(
            f"the migration {file_name} has no SQL for {dialect}",
            hint="install des-admin again",
            file=str(path),
        ) from exc
    parts = _STEP.split(text)[1:]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def _parse_step(catalog: Catalog, name: str, body: str) -> Step:
    tags = dict(_TAG.findall(body))
    statement = catalog.parse(name, _TAG.sub("", body))
    return Step(
        name=name,
        statement=statement,
        lock=tags.get("lock", ""),
        cost=tags.get("cost", "moments"),
        only=tags.get("only", ""),
        in_transaction=tags.get("outside") != "transaction",
        group=tags.get("group", ""),
    )
