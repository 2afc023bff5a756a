"""Which configuration file a program reads: one answer for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from des_core.basics.errors import ConfigError
from des_core.settings.config_file import LoadedSettings, load_settings

CONFIG_VARIABLE = "DES_ADMIN_CONFIG"
PROFILE_VARIABLE = "DES_ADMIN_PROFILE"
PROJECT_FILES = ("des-admin.yaml", "des-admin.yml", "watermark-migration-config.yaml")


def load_found(
    config: Path | None,
    *,
    env: Mapping[str, str],
    profile: str | None = None,
    overrides: Mapping[str, object] | None = None,
    adapt: Callable[[dict[str, Any]], None] | None = None,
) -> LoadedSettings:
    """The settings of the file that was named or found, above the user's own file."""
    path, users = find_config(config, env), user_file(env)
    return load_settings(
        path,
        env=env,
        profile=profile or env.get(PROFILE_VARIABLE),
        user_file=None if users == path else users,
        overrides=overrides,
        adapt=adapt,
    )


def find_config(config: Path | None, env: Mapping[str, str]) -> Path:
    """`config`, DES_ADMIN_CONFIG, a file of the usual name here, the user's own file."""
    if config is not None:
        return config
    if named := env.get(CONFIG_VARIABLE):
        return Path(named)
    users = user_file(env)
    for candidate in (*map(Path, PROJECT_FILES), users):
        if candidate is not None and candidate.is_file():
            return candidate
    looked_for = [f"./{name}" for name in PROJECT_FILES]
    if users is not None:
        looked_for.append(str(users))
    raise ConfigError(
        "there is no configuration file",
        hint=f"write one: des-admin init; or name it: --config FILE or {CONFIG_VARIABLE}",
        looked_for=", ".join(looked_for),
    )


def user_file(env: Mapping[str, str]) -> Path | None:
    """The user's own file; its keys fill in what the project's file leaves out."""
    home = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else None)
    return None if home is None else Path(home) / "des-admin" / "config.yaml"
