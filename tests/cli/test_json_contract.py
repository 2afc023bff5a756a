"""docs/json.md against what the commands really print: no field more, none that must be, less."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import ROOT, Archive, Program, name_roots
from des_core.database.connections import open_database
from des_core.locks.lock import hold_lock

DOC = ROOT / "docs" / "json.md"
Fields = dict[str, bool]


def documented() -> dict[str, Fields]:
    """Schema → its fields → whether the field is always there."""
    shapes: dict[str, Fields] = {}
    current: list[str] = []
    for line in DOC.read_text().splitlines():
        names = re.findall(r"`des-admin/([a-z-]+)/1`", line)
        if names and (line.startswith("###") or line.startswith("`des-admin/error")):
            current = names
            shapes |= {name: {} for name in names}
        elif match := re.match(r"\| `([^`]+)`(\?)? \|", line):
            for name in current:
                shapes[name][match[1]] = match[2] is None
    return shapes


SHAPES = documented()


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Paths of a document as the tables write them."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path


def pattern(field: str) -> re.Pattern[str]:
    """A documented field as a pattern of paths; a final `*` covers whatever lies below."""
    text = re.escape(field).replace(r"\*", r".+")
    deep = r"(?:[.\[].*)?" if field.endswith("*") else r"(?:\[\])?"
    return re.compile(text + deep)


def check_document(document: Any) -> None:
    prefix, name, version = document["schema"].split("/")
    assert (prefix, version) == ("des-admin", "1")
    assert next(iter(document)) == "schema"
    fields = SHAPES[name]
    found = set(leaves(document)) - {"schema"}
    patterns = {field: pattern(field) for field in fields}
    unknown = {path for path in found if not any(p.fullmatch(path) for p in patterns.values())}
    assert not unknown, f"{name}: not in docs/json.md"
    missing = {
        field
        for field, always in fields.items()
        if always and not _is_there(document, field) and not _is_in_absent_list(document, field)
    }
    assert not missing, f"{name}: promised by docs/json.md, but not there"


def _is_there(document: Any, field: str) -> bool:
    """Whether the field is there, with any value: also null, an empty list or an object."""
    values = [document]
    for part in re.findall(r"[^.\[\]]+|\[\]", field):
        if part == "[]":
            values = [item for value in values if isinstance(value, list) for item in value]
        elif part == "*":
            values = [i for value in values if isinstance(value, dict) for i in value.values()]
        else:
            values = [v[part] for v in values if isinstance(v, dict) and part in v]
    return bool(values)


def _is_in_absent_list(document: Any, field: str) -> bool:
    """A field of elements, where the list is there but empty."""
    stem = field.split("[]")[0]
    return "[]" in field and _is_there(document, stem) and not _is_there(document, f"{stem}[]")


LINES = (
    *("config show", "doctor", "sql list", "sql show window_stats", "run --dry-run"),
    "plan compression --price-tb-month 23",
    *(
        "watermark show",
        "watermark history --head",
        "watermark lag 6 --yes",
        "watermark rewind 1d --dry-run",
        "run",
    ),
    *("status", "progress", "progress --exact", "progress --daily", "progress --daily --exact"),
    *("watermark rewind 1d --yes", "watermark history --check", "watermark history"),
    *("exceptions list", "exceptions retry --yes", "exceptions resolve --only late --dry-run"),
    *("run", "verify", "archive has UID nobody", "archive get UID --to back.bin", "archive ls"),
    *(
        "archive export --day 2024-01-08 --to .",
        "archive ls --day 2024-01-08",
        "migrate plan",
        "migrate status",
        "migrate sql",
    ),
    *("migrate sql down", "migrate up --yes", "backup create --dir backups"),
    *("backup list --dir backups", "backup check --dir backups"),
    *("backup prune --dir backups --dry-run", "backup restore-plan --dir backups"),
    "plan capacity --files-per-day 1000000 --mean-size 50000 --output-dir s3://",
    *("compliance sync", "migrate pause", "migrate resume"),
    *(
        "migrate plan --drop-archived",
        "reconcile",
        "deploy render --to deployed --runbook-url https://wiki.example.org/r",
    ),
    *("verify --sample 1/2 --repair", "ledger rebuild --dry-run", "sources delete --dry-run"),
    *("watermark adopt --dry-run", "ledger output"),
    *("migrate plan --down", "migrate down --dry-run", "migrate down --yes", "migrate status"),
    "init other.yaml --url sqlite:////x.db --output-dir out --no-check",
)


def test_every_command_prints_what_is_documented(sqlite_archive: Archive, program: Program) -> None:
    *_, packed, lost = sorted(sqlite_archive.table.rows.values(), key=lambda r: r.created_at)
    Path(lost.location).unlink()
    name_roots(sqlite_archive.project / "des-admin.yaml", sqlite_archive.table.root)
    seen = set()
    database = open_database(sqlite_archive.config.url)
    with hold_lock(database, "test"):
        for line in ("lock show", "lock break --yes"):
            done = program(*line.split(), "--output", "json")
            check_document(done.json)
            seen.add(done.json["schema"].split("/")[1])
    database.close()
    for line in LINES:
        if line == "migrate pause":  # as if the sync before it were still at work
            job = "UPDATE des_archive_job SET state = 'running' WHERE name = 'compliance_flags'"
            sqlite_archive.config.execute(job)
        words = line.replace("UID", packed.uid).split()
        done = program(*words, "--output", "json", expect=None)
        assert done.out, f"{line}\n{done.err}"
        assert done.code in {0, 3, 4}
        check_document(done.json)
        seen.add(done.json["schema"].split("/")[1])
    assert seen == set(SHAPES) - {"error", "demo", "sql-grants"}  # SQLite has no users


@pytest.mark.parametrize(
    "line",
    ["watermark set yesterday", "nonsense", "watermark rewind 1d", "archive get nobody --to x"],
)
def test_every_error_is_what_is_documented(
    line: str, sqlite_archive: Archive, program: Program
) -> None:
    done = program(*line.split(), "--output", "json", expect=None)
    check_document(done.error)
    assert done.code == done.error["exit_code"] != 0
    assert done.out == ""


def test_the_demo_prints_what_is_documented(program: Program) -> None:
    check_document(program("demo", "--files", "2000", "--output", "json", separate=True).json)


def test_exit_codes_are_those_of_the_errors() -> None:
    from des_core.basics.errors import ExitCode

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", DOC.read_text(), re.M)}
    assert codes == {int(code) for code in ExitCode}
