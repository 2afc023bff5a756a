"""What a configuration needs from outside: its paths as mounts, its variables as files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from des_core.basics.database_urls import parse_url
from des_core.basics.errors import ConfigError
from des_core.basics.object_config import is_object_url
from des_core.settings.config import Settings

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")  # one with a default needs no file
_USUAL_KEYS = {"DB_USER": "username", "DB_PASSWORD": "password"}
OUTPUT_CLAIM = "des-output-pvc"
SCRATCH_DIR = "/tmp"  # noqa: S108 - an empty volume of each pod
# What a volume must not hide: the system, the program, and what every pod mounts.
SYSTEM = frozenset(
    "/ /bin /boot /dev /etc /lib /lib64 /opt /proc /run /sbin /sys /usr".split()  # noqa: SIM905
)
OURS = ("/config", "/secrets", "/opt/des-admin")


class Role(StrEnum):
    """Who mounts it."""

    RUNNER = "runner"
    EXPORTER = "exporter"
    MIGRATE = "migrate"
    BACKUP = "backup"
    COMPLIANCE = "compliance"


SEES_SHARDS = (Role.RUNNER, Role.EXPORTER)
SEES_BACKUPS = (Role.EXPORTER, Role.MIGRATE, Role.BACKUP)


class Kind(StrEnum):
    """Where it comes from: a claim, a secret, or an empty directory that ends with the pod."""

    CLAIM = "claim"
    SECRET = "secret"  # noqa: S105 - a kind of volume
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Mount:
    """One directory of the configuration. `source` names the claim or the secret.

    `key` is where the configuration names it.
    """

    key: str
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
    """The directories that a role needs, each once; ConfigError for one that no pod can have."""
    found: dict[str, Mount] = {}
    for mount in _mounts(settings, role):
        path = _check_path(mount)
        known = found.get(path)
        if known is None:
            found[path] = replace(mount, path=path)
        elif known.read_only and not mount.read_only:
            found[path] = replace(known, read_only=False)
    return tuple(mount for mount in found.values() if not _is_there_already(mount, found))


def object_places(settings: Settings) -> list[str]:
    """The output and the source roots that are in an object store."""
    places = (settings.packer.output_dir, *settings.packer.source_roots)
    return [place for place in places if is_object_url(place)]


def sqlite_directories(settings: Settings) -> list[tuple[str, str]]:
    """Key and directory of SQLite databases; the whole directory, for the journal beside a file."""
    urls = {"database.url": settings.source_url, "watermark.config_db_url": settings.config_url}
    parsed = {key: parse_url(text) for key, text in urls.items()}
    return [
        (key, _directory(url.database))
        for key, url in parsed.items()
        if url.get_backend_name() == "sqlite" and url.database
    ]


def _mounts(settings: Settings, role: Role) -> Iterator[Mount]:
    is_runner = role is Role.RUNNER
    if role in SEES_SHARDS:
        yield from _output(settings, is_runner)
    if is_runner:
        yield from _sources(settings)
    backups = settings.backup.dir
    if backups is not None and role in SEES_BACKUPS:
        yield Mount("backup.dir", "backup", backups, Kind.CLAIM, "des-backup-pvc", read_only=True)
    for key, directory in sqlite_directories(settings):
        yield Mount(key, "database", directory, Kind.CLAIM, "des-database-pvc")
    if settings.logging.file is not None:
        yield Mount("logging.file", "logs", _directory(settings.logging.file), Kind.SCRATCH)
    if role in SEES_SHARDS:
        yield from _of_metrics(settings)


def _output(settings: Settings, is_runner: bool) -> Iterator[Mount]:
    packer = settings.packer
    if not is_object_url(packer.output_dir):
        key, name, path = "packer.output_dir", "des-output", packer.output_dir
        yield Mount(key, name, path, Kind.CLAIM, OUTPUT_CLAIM, read_only=not is_runner)
    elif is_runner and packer.scratch_dir is not None:
        yield Mount("packer.scratch_dir", "drafts", packer.scratch_dir, Kind.SCRATCH)


def _sources(settings: Settings) -> Iterator[Mount]:
    keep = not settings.migration.delete_source_files
    roots = [root for root in settings.packer.source_roots if not is_object_url(root)]
    for number, root in enumerate(roots):
        name = "source-files" if number == 0 else f"source-files-{number + 1}"
        yield Mount("packer.source_roots", name, root, Kind.CLAIM, f"{name}-pvc", read_only=keep)


def _of_metrics(settings: Settings) -> Iterator[Mount]:
    metrics = settings.metrics
    for key in ("tls_cert_file", "tls_key_file", "tls_client_ca_file"):
        file = getattr(metrics, key)
        if file is not None:
            where, secret = _directory(file), "des-exporter-tls"
            yield Mount(f"metrics.{key}", "tls", where, Kind.SECRET, secret, read_only=True)
    if metrics.textfile is not None:
        yield Mount("metrics.textfile", "textfile", _directory(metrics.textfile), Kind.SCRATCH)


def _check_path(mount: Mount) -> str:
    """The path without detours; ConfigError where no volume can be mounted."""
    path, problem = re.sub("^/+", "/", posixpath.normpath(mount.path)), None
    if not path.startswith("/"):
        problem = "is not an absolute path"
    elif ":" in path or not path.isprintable():
        problem = "has a character that no mount may have"
    elif path in SYSTEM:
        problem = "would hide a directory of the system"
    elif any(_is_below(path, ours) or _is_below(ours, path) for ours in OURS):
        problem = "lies where every pod has something else"
    elif path == SCRATCH_DIR and mount.kind is not Kind.SCRATCH:
        problem = "is the scratch directory of every pod"
    if problem is not None:
        raise ConfigError(
            f"{mount.key} {problem}, so no volume can be mounted there",
            hint="give it a directory of its own, like /mnt/des/output",
            path=mount.path,
        )
    return path


def _is_there_already(mount: Mount, found: dict[str, Mount]) -> bool:
    """An empty directory that lies in a volume which keeps what is written there."""
    if mount.kind is not Kind.SCRATCH:
        return False
    if mount.path == SCRATCH_DIR:
        return True
    return any(
        other.kind is Kind.CLAIM and not other.read_only and _is_below(mount.path, path)
        for path, other in found.items()
    )


def _is_below(path: str, parent: str) -> bool:
    """Whether it is in there, or the same."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def _directory(file: str) -> str:
    return str(PurePosixPath(file).parent)


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
