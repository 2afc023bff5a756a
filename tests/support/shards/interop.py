"""Shards of a writer in the field, which come with the workspace and not with the repository."""

import os
from pathlib import Path

import pytest


def interop_dir() -> Path:
    """The folder with foreign shards; the test is skipped where there is none."""
    named = os.environ.get("DES_INTEROP_DIR")
    if named:
        return Path(named)
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "interop"
        if folder.is_dir():
            return folder
    pytest.skip("no shared/interop beside the repository; DES_INTEROP_DIR names one elsewhere")
