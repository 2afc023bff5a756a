"""From a configuration file and flags to a Deployment, without needing any secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from des_admin.deployment.mounts import credentials_of
from des_admin.deployment.options import Deployment
from des_admin.deployment.schedule import parse_schedule
from des_core.basics.errors import UsageError
from des_core.settings.config_file import load_settings, read_yaml
from des_core.settings.values import without_login

UNSET = "des-admin-variable-not-set"
MAX_NAME = 63
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# Absolute, since who is paged opens it on a telephone; what YAML and Prometheus take as it stands.
_URL = re.compile(r"https?://[\w.-]+[^\s\"'#{}]*", re.A)
_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]*", re.A | re.I)


def make_deployment(
    path: Path,
    profile: str | None,
    env: Mapping[str, str],
    schedule: str,
    options: dict[str, Any],
) -> Deployment:
    """UsageError for a flag that cannot be used, ConfigError for the file.

    Only the file counts, not the operator's DES_ADMIN__ variables; a `${VARIABLE}` that is not set
    here is taken as it is: the pods will have it.
    """
    options = dict(options)
    _check(options)
    tree = read_yaml(path)
    text = path.read_text(encoding="utf-8-sig")
    if profile is not None:
        text = yaml.safe_dump(_with_profile(tree, profile), sort_keys=False)
    credentials = credentials_of(text)
    variables = {name: value for name, value in env.items() if f"${{{name}" in text}
    known = {each.variable: UNSET for each in credentials} | variables
    loaded = load_settings(path, env=known, profile=profile)
    given = options.pop("runbook_url")
    url = _runbook(given or loaded.settings.metrics.runbook_url)
    return Deployment(
        settings=loaded.settings,
        runbook_url=url,
        config_text=text,
        credentials=credentials,
        schedule=parse_schedule(schedule),
        known_values=frozenset(known.values()),
        **options,
    )


def _check(options: Mapping[str, Any]) -> None:
    for flag in ("namespace", "monitoring_namespace", "user"):
        value = options[flag]
        if not _NAME.fullmatch(value) or len(value) > MAX_NAME:
            raise UsageError(
                f"--{flag.replace('_', '-')}: not a name: {value!r}",
                hint="lower case letters, digits and hyphens, 63 at most",
            )
    if not _IMAGE.fullmatch(options["image"]):
        raise UsageError(f"--image: not an image: {options['image']!r}")
    try:
        ZoneInfo(options["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise UsageError(
            f"--time-zone: not a time zone: {options['time_zone']!r}",
            hint="a name of the tz database, like Etc/UTC or Europe/Warsaw",
        ) from exc
    for flag in ("bin_dir", "config_path"):
        if not options[flag].startswith("/") or re.search(r"[\s%]", options[flag]):
            raise UsageError(f"--{flag.replace('_', '-')} must be an absolute path without spaces")


def _runbook(url: str | None) -> str:
    """Where the alerts link to; it is not left out by accident."""
    if url is None:
        raise UsageError(
            "nothing says where the alerts link to: who is paged at night needs the runbook",
            hint="set metrics.runbook_url, or give --runbook-url "
            "https://runbooks.example.org/des-admin/docs/runbook/alerts.md",
        )
    if not _URL.fullmatch(url):
        raise UsageError(
            f"--runbook-url: not an absolute address: {url!r}",
            hint="with https://, without blanks, quotes and #anchor, "
            "like https://wiki.example.org/runbook/alerts.md",
        )
    try:
        return str(without_login(url))
    except ValueError as exc:
        raise UsageError(f"--runbook-url: {exc}", hint="everybody may read the rules") from exc


def _with_profile(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """The tree with the keys of a profile in it; load_settings refuses an unknown one."""
    profiles = tree.pop("profiles", None) or {}
    return _merged(tree, profiles.get(name) or {})


def _merged(tree: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(tree)
    for key, value in over.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged
