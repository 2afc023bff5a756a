"""docs/configuration.md and the file that `init` writes name every key of the settings."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from des_admin.config_questions import Answers
from des_admin.config_template import render_config
from des_core.settings.config import Settings
from des_core.settings.config_file import load_settings

ROOT = Path(__file__).resolve().parents[2]
WRITER = ROOT / "scripts" / "write-configuration-page"
REQUIRED = {"database.url": "sqlite:////srv/archive.db", "packer.output_dir": "/srv/shards"}


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{key}.")
        else:
            yield key


def test_the_page_is_what_the_settings_say() -> None:
    done = subprocess.run([sys.executable, WRITER, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def template() -> str:
    return render_config(
        Answers(
            url=REQUIRED["database.url"],
            config_url=None,
            table="files",
            output_dir=REQUIRED["packer.output_dir"],
            lag_days=7,
        )
    )


def uncommented(text: str) -> str:
    """The template with every key that stands behind a #, and without its prose."""
    is_key = re.compile(r"^( *)# ( *[a-z_]+:( |$).*)$")
    lines = [is_key.sub(r"\1\2", line) for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_the_template_names_every_key_with_its_default(template: str, tmp_path: Path) -> None:
    file = tmp_path / "des-admin.yaml"
    file.write_text(uncommented(template))
    assert sorted(key for key, _ in leaves(yaml.safe_load(file.read_text()))) == sorted(
        keys_of(Settings)
    )
    bare = tmp_path / "bare.yaml"
    bare.write_text(
        yaml.safe_dump(
            {
                "database": {"url": REQUIRED["database.url"]},
                "packer": {"output_dir": REQUIRED["packer.output_dir"]},
            }
        )
    )
    said, default = (load_settings(path, env={}).settings for path in (file, bare))
    assert said == default


def option_names(lines: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", lines))


def test_the_runner_has_the_same_options_by_both_its_names() -> None:
    module = subprocess.run(
        [sys.executable, "-m", "watermark_orchestrator", "--help"], capture_output=True, text=True
    )
    golden = ROOT / "tests" / "cli" / "golden"
    command = option_names((golden / "des-admin-run.txt").read_text())
    whole = command | option_names((golden / "des-admin.txt").read_text())
    # Only the operator's command asks before a first cycle, so only it takes the answer.
    assert option_names(module.stdout) >= command - {"--help", "--yes"}
    assert option_names(module.stdout) <= whole
