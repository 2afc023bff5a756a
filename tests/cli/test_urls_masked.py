"""No URL of the configuration shows its login: each key that holds text is tried, in each place.

A key is a secret, and masked, or refuses a login. There is no third kind: the test walks the
settings themselves, so that a new key is tried, too.
"""

import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from cli.conftest import CANARY, Program, write_config
from des_core.settings.config import Settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

ADDRESSES = (
    f"https://user:{CANARY}@127.0.0.1:1/x",
    f"https://{CANARY}@127.0.0.1:1/x",
    f"https://127.0.0.1:1/x?token={CANARY}",
    f"tcp://:{CANARY}@127.0.0.1:1",
    f"s3://key:{CANARY}@bucket/x",
    f"postgresql://user:{CANARY}@127.0.0.1:1/x?sslpassword={CANARY}",
    f"mysql://user:{CANARY}@127.0.0.1:1/x",
)
COMMANDS = (
    *("config show", "config show --output json", "doctor --all", "doctor --output json"),
    *("progress", "run", "run --dry-run", "backup list", "backup create", "verify", "archive ls"),
    *("migrate status", "exporter --once", "sql grants runner --to somebody --admin"),
    "deploy render --to rendered --force --runbook-url https://runbooks.example.org/alerts.md",
)
# One way to say each of them that is not text as it stands.
NEIGHBOURS: dict[str, dict[str, Any]] = {
    "metrics.password": {"metrics": {"username": "scrape"}},
    "metrics.username": {"metrics": {"password": "not-" + CANARY}},
}


def kinds_of(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Annotated, types.UnionType, typing.Union):
        for part in typing.get_args(annotation):
            yield from kinds_of(part)
    elif typing.get_origin(annotation) in (tuple, frozenset, list):
        yield typing.get_origin(annotation)
    else:
        yield annotation


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each key that takes text, and its kind: str, SecretStr, or a list of texts."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        for kind in kinds_of(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys_of(kind, f"{key}.")
            elif kind in (str, SecretStr, tuple, frozenset, list):
                yield key, kind


KEYS = dict(keys_of(Settings))
SECRET_KEYS = {key for key, kind in KEYS.items() if kind is SecretStr}


def put(tree: dict[str, Any], key: str, value: object) -> None:
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[last] = value


def configure(project: Path, url: str, key: str, value: object) -> None:
    path = write_config(project, url)
    tree = yaml.safe_load(path.read_text())
    for section, more in NEIGHBOURS.get(key, {}).items():
        tree.setdefault(section, {}).update(more)
    put(tree, key, value)
    path.write_text(json.dumps(tree))


def test_the_walk_finds_the_keys_that_are_known_to_hold_a_url() -> None:
    assert {
        *("database.url", "watermark.config_db_url", "migration.url", "backup.scratch_url"),
        *("metrics.pushgateway_url", "metrics.password"),
    } <= SECRET_KEYS
    assert KEYS.keys() >= {
        *("packer.output_dir", "packer.source_roots", "packer.scheduler", "backup.dir"),
        *("packer.object_store.endpoint", "metrics.runbook_url", "logging.file"),
    }


@pytest.mark.parametrize("key", sorted(KEYS.keys() - SECRET_KEYS))
def test_a_text_that_is_printed_holds_no_login(project: Path, program: Program, key: str) -> None:
    """`program` looks for the canary in everything that is printed."""
    for address in ADDRESSES:
        value = address if KEYS[key] is str else [address]
        configure(project, "sqlite:////nowhere.db", key, value)
        done = program("config", "show", expect=2)
        assert key.rpartition(".")[2] in done.err


@pytest.mark.parametrize("key", ["output_dir", "scheduler", "object_store.endpoint"])
def test_the_url_of_a_place_has_no_options_of_any_name(
    project: Path, program: Program, key: str
) -> None:
    """A signature may be called anything."""
    configure(
        project, "sqlite:////nowhere.db", f"packer.{key}", f"https://a.example.org/x?code={CANARY}"
    )
    assert key.rpartition(".")[2] in program("config", "show", expect=2).err


@pytest.mark.parametrize("key", sorted(SECRET_KEYS))
def test_a_secret_is_masked_wherever_it_is_shown(
    project: Path,
    program: Program,
    make_database: Any,
    files_table: FilesTableFactory,
    key: str,
) -> None:
    database: TestDatabase = make_database("sqlite")
    files_table(database, 5, days=1, files=False)
    shown = 0
    fit = [text for text in ADDRESSES if text.startswith(SCHEMES.get(key, ("postgresql", "mysql")))]
    for number, address in enumerate(fit):
        configure(project, database.url, key, address)
        for command in COMMANDS if number == 0 else COMMANDS[:4]:
            done = program(*command.split(), expect=None)
            shown += "***" in done.out + done.err
        rendered = "\n".join(
            p.read_text() for p in (project / "rendered").rglob("*") if p.is_file()
        )
        assert CANARY not in rendered
    assert shown
    logs = "\n".join(path.read_text() for path in project.rglob("*.log"))
    assert not re.search(CANARY, logs)


SCHEMES = {"metrics.pushgateway_url": "https", "metrics.password": "https"}
