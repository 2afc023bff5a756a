"""The configuration file: YAML, `${VAR}` expanded, layered, checked, with the origin of each key.

Layers, the first that names a key wins: flags, environment (`DES_ADMIN__SECTION__KEY`), the
profile, the project file, the user file, defaults.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ValidationError

from des_core.basics.database_urls import parse_url
from des_core.basics.errors import ConfigError
from des_core.basics.own_places import require_apart
from des_core.settings.config import Settings

MAX_FILE_BYTES = 1 << 20
ENV_PREFIX = "DES_ADMIN__"
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<default>[^}]*))?\}")
_URL_KEYS = frozenset(("url", "config_db_url", "scratch_url"))

Tree = dict[str, Any]


@dataclass(frozen=True)
class LoadedSettings:
    """The settings, the file they came from, and where each dotted key was set."""

    settings: Settings
    path: Path
    origins: Mapping[str, str]


@dataclass(frozen=True)
class Layer:
    """One source of keys: `origin` names it in messages and in `config show`."""

    origin: str
    tree: Tree


def load_settings(
    path: Path,
    *,
    env: Mapping[str, str],
    profile: str | None = None,
    user_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    adapt: Callable[[Tree], None] | None = None,
) -> LoadedSettings:
    """Read `path` and the layers around it. `overrides` are flags, by dotted key.

    `adapt` may change the merged and expanded tree before it is checked.

    Raises ConfigError that names file, key and, for an unknown key, the nearest known one.
    """
    layers = [*_file_layers(path, profile)]
    if user_file is not None and user_file.is_file():
        layers += _file_layers(user_file, None)
    layers = [
        Layer("flag", _tree_of_dotted(overrides or {})),
        Layer("environment", _environment_tree(env)),
        *layers,
    ]
    merged, origins = _merge(layers)
    _take_completion_index(merged, origins, env)
    expanded = _expand(merged, env, origins, ())
    if adapt is not None:
        adapt(expanded)
    files = [str(path)] if user_file is None else [str(path), str(user_file)]
    settings = _validate(expanded, origins, str(path)).read_from(files)
    require_apart(settings.packer.source_roots, settings.own_places)
    return LoadedSettings(settings, path, origins)


def read_yaml(path: Path) -> Tree:
    """The mapping in a YAML file; ConfigError for whatever else is found there."""
    text = _read_text(path)
    try:
        tree = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        raise ConfigError(
            f"the configuration is not valid YAML: {exc.problem}", file=str(path), line=line
        ) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError("the configuration is not valid YAML", file=str(path)) from exc
    if tree is None:
        raise ConfigError(
            "the configuration file is empty", hint="write one: des-admin init", file=str(path)
        )
    if not isinstance(tree, dict):
        raise ConfigError("the configuration is not a mapping of sections", file=str(path))
    return tree


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as exc:
        raise ConfigError(
            "there is no configuration file",
            hint="write one: des-admin init; or name it: --config FILE or DES_ADMIN_CONFIG",
            file=str(path),
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"the configuration file cannot be read: {exc.strerror}", file=str(path)
        ) from exc
    except ValueError as exc:  # a NUL, or half a surrogate pair
        raise ConfigError("no file can have this name", file=ascii(str(path))) from exc
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError("the configuration file is larger than 1 MiB", file=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(
            "the configuration file is not UTF-8 text", file=str(path), byte=exc.start
        ) from exc


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that stands twice (the last would win) and aliases (which can explode)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_mark()
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not allowed here", mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be text, not {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _file_layers(path: Path, profile: str | None) -> list[Layer]:
    tree = read_yaml(path)
    profiles = tree.pop("profiles", None) or {}
    if not isinstance(profiles, dict) or not all(isinstance(v, dict) for v in profiles.values()):
        raise ConfigError("profiles must map a name to sections", file=str(path), key="profiles")
    layers = [Layer(str(path), tree)]
    if profile is not None:
        if profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise ConfigError(
                f"there is no profile {profile!r}", hint=f"profiles here: {known}", file=str(path)
            )
        layers.insert(0, Layer(f"{path} (profile {profile})", profiles[profile]))
    return layers


def _environment_tree(env: Mapping[str, str]) -> Tree:
    names = sorted(name for name in env if name.startswith(ENV_PREFIX))
    keys = {name: name.removeprefix(ENV_PREFIX).lower().replace("__", ".") for name in names}
    for name, key in keys.items():
        inner = next((other for other in names if keys[other].startswith(f"{key}.")), None)
        if inner is not None:
            raise ConfigError(f"the variables {name} and {inner} name the same key", key=key)
    return _tree_of_dotted({key: _environment_value(env[name]) for name, key in keys.items()})


def _environment_value(text: str) -> Any:
    """Lists and the YAML words for nothing and truth; text, and what is no list, stays text."""
    if not text.startswith("[") and text not in {"null", "true", "false"}:
        return text
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _take_completion_index(merged: Tree, origins: dict[str, str], env: Mapping[str, str]) -> None:
    """In an Indexed Job of Kubernetes, the pod's index is the number of this sharded worker."""
    index, key = env.get("JOB_COMPLETION_INDEX", ""), "database.shard_id"
    database = merged.get("database")
    if not index.isdecimal() or not isinstance(database, dict):
        return
    if str(database.get("shards_total", 1)) == "1" or origins.get(key) in {"flag", "environment"}:
        return
    database["shard_id"] = int(index)
    origins[key] = "JOB_COMPLETION_INDEX"


def _tree_of_dotted(dotted: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for key, value in dotted.items():
        *sections, last = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return tree


def _leaves(tree: Tree, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def _merge(layers: list[Layer]) -> tuple[Tree, dict[str, str]]:
    merged: Tree = {}
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        for keys, value in _leaves(layer.tree):
            if value in (None, {}) and known_keys(list(keys)):
                continue  # a section of which every key is commented out says nothing
            node = merged
            for key in keys[:-1]:
                child = node.get(key)
                node[key] = node = child if isinstance(child, dict) else {}
            if isinstance(value, dict) and isinstance(node.get(keys[-1]), dict):
                continue
            node[keys[-1]] = value
            origins[".".join(keys)] = layer.origin
    return merged, origins


def _expand(
    node: Any, env: Mapping[str, str], origins: Mapping[str, str], at: tuple[str, ...]
) -> Any:
    if isinstance(node, dict):
        return {key: _expand(value, env, origins, (*at, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_expand(value, env, origins, at) for value in node]
    if isinstance(node, str) and "${" in node:
        return _expand_text(node, env, ".".join(at), origins)
    return node.isoformat() if isinstance(node, date | datetime) else node


def _expand_text(text: str, env: Mapping[str, str], key: str, origins: Mapping[str, str]) -> str:
    in_url = key.rpartition(".")[2] in _URL_KEYS
    login_end = text.rfind("@") if in_url else -1

    def value_of(match: re.Match[str]) -> str:
        value = _variable(match["name"], match["default"], env)
        if value is None:
            raise ConfigError(
                f"the variable {match['name']} is not set",
                hint=f"set it, or name a file that holds it in {match['name']}_FILE",
                file=origins.get(key),
                key=key,
            )
        # A password may hold what ends a URL's login part. An already encoded %40 stays as it is.
        return quote(value, safe="%") if match.end() <= login_end else value

    return _VARIABLE.sub(value_of, text)


def _variable(name: str, default: str | None, env: Mapping[str, str]) -> str | None:
    """The variable, else the content of the file that NAME_FILE points to, else the default."""
    if name in env:
        return env[name]
    file = env.get(f"{name}_FILE")
    if file is not None:
        return _read_text(Path(file)).rstrip("\r\n")
    return default


def _validate(tree: Tree, origins: Mapping[str, str], file: str) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as exc:
        raise _config_error(exc, origins, file) from None  # the cause would echo the input
    except ConfigError as exc:
        raise ConfigError(exc.message, hint=exc.hint, file=file, **exc.facts) from None
    for key, url in (
        ("database.url", settings.source_url),
        ("watermark.config_db_url", settings.config_url),
        ("migration.url", settings.direct_url),
    ):
        try:
            parse_url(url)
        except ConfigError as exc:
            where = origins.get(key, file)
            raise ConfigError(exc.message, hint=exc.hint, file=where, key=key) from None
    return settings


def _config_error(exc: ValidationError, origins: Mapping[str, str], file: str) -> ConfigError:
    """The first problem, a misspelt key before a missing one; of the others the keys are named."""
    problems = exc.errors(include_url=False, include_context=False, include_input=False)
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    loc = [str(part) for part in first["loc"]]
    key = ".".join(loc)
    where = origins.get(key, file)
    if first["type"] == "extra_forbidden":
        known = known_keys(loc[:-1])
        near = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys here: {', '.join(known)}"
        return ConfigError("unknown key", hint=hint, file=where, key=key)
    if first["type"] == "missing":
        return ConfigError("a key is missing", hint="see `des-admin init`", file=where, key=key)
    message = first["msg"].removeprefix("Value error, ")
    others = [".".join(map(str, problem["loc"])) for problem in problems[1:]]
    return ConfigError(
        f"wrong value: {message}", file=where, key=key, also_wrong=", ".join(others) or None
    )


def known_keys(sections: list[str]) -> list[str]:
    """The keys that the file may hold below the given sections, as written in the file."""
    model: type[BaseModel] = Settings
    for section in sections:
        field = next((f for n, f in model.model_fields.items() if section in (n, f.alias)), None)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [*names, "profiles"] if model is Settings else names
