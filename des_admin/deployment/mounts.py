"""What a configuration needs from outside: its paths as mounts, its variables as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from des_core.config import Settings
from des_core.database import parse_url

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")  # one with a default needs no file
_USUAL_KEYS = {"DB_USER": "username", "DB_PASSWORD": "password"}
OUTPUT_CLAIM = "des-output-pvc"


class Role(StrEnum):
    """Who mounts it."""

    RUNNER = "runner"
    EXPORTER = "exporter"
    MIGRATE = "migrate"


class Kind(StrEnum):
    """Where it comes from: a claim, a secret, or an empty directory that ends with the pod."""

    CLAIM = "claim"
    SECRET = "secret"  # noqa: S105 - a kind of volume
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Mount:
    """One directory of the configuration. `source` names the claim or the secret."""

    name: str
    path: str
    kind: Kind
    source: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A variable of the configuration, and the key of the secret that holds its value."""

    variable: str
    key: str


def credentials_of(config_text: str) -> tuple[Credential, ...]:
    """The variables that the configuration cannot do without, in the order of their names."""
    names = sorted(set(_VARIABLE.findall(_without_comments(config_text))))
    return tuple(Credential(name, _USUAL_KEYS.get(name, name)) for name in names)


def mounts_for(settings: Settings, role: Role) -> tuple[Mount, ...]:
    """The directories that a role needs, each once."""
    found: dict[str, Mount] = {}
    for mount in _mounts(settings, role):
        known = found.get(mount.path)
        if known is None:
            found[mount.path] = mount
        elif known.read_only and not mount.read_only:
            found[mount.path] = replace(known, read_only=False)
    return tuple(found.values())


def is_object_store(output_dir: str) -> bool:
    """Whether the shards go to an object store instead of a directory."""
    return "://" in output_dir


def sqlite_directories(settings: Settings) -> list[str]:
    """Where SQLite database files lie; the whole directory, for the journal beside the file."""
    urls = [parse_url(text) for text in (settings.source_url, settings.config_url)]
    return [
        str(PurePosixPath(url.database).parent)
        for url in urls
        if url.get_backend_name() == "sqlite" and url.database
    ]


def _mounts(settings: Settings, role: Role) -> Iterator[Mount]:
    output, is_runner = settings.packer.output_dir, role is Role.RUNNER
    if role is not Role.MIGRATE and not is_object_store(output):
        yield Mount("des-output", output, Kind.CLAIM, OUTPUT_CLAIM, read_only=not is_runner)
    if is_runner:
        yield from _sources(settings)
    if settings.backup.dir is not None and not is_runner:
        yield Mount("backup", settings.backup.dir, Kind.CLAIM, "des-backup-pvc", read_only=True)
    for directory in sqlite_directories(settings):
        yield Mount("database", directory, Kind.CLAIM, "des-database-pvc")
    if settings.logging.file is not None:
        yield Mount("logs", _directory(settings.logging.file), Kind.SCRATCH)
    if role is not Role.MIGRATE:
        yield from _of_metrics(settings)


def _sources(settings: Settings) -> Iterator[Mount]:
    keep = not settings.migration.delete_source_files
    for number, root in enumerate(settings.packer.source_roots):
        name = "source-files" if number == 0 else f"source-files-{number + 1}"
        yield Mount(name, str(root), Kind.CLAIM, f"{name}-pvc", read_only=keep)


def _of_metrics(settings: Settings) -> Iterator[Mount]:
    metrics = settings.metrics
    for file in (metrics.tls_cert_file, metrics.tls_key_file, metrics.tls_client_ca_file):
        if file is not None:
            yield Mount("tls", _directory(file), Kind.SECRET, "des-exporter-tls", read_only=True)
    if metrics.textfile is not None:
        yield Mount("textfile", _directory(metrics.textfile), Kind.SCRATCH)


def _directory(file: str) -> str:
    return str(PurePosixPath(file).parent)


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
