"""Programs that some tests need besides the database servers."""

import shutil

import pytest

from support.servers.kinds import is_ci

_PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus"}


def require_tool(name: str, *, in_ci: bool = True) -> str:
    """The path of a program; without it a visible skip on a laptop and a failure in CI.

    `in_ci` False is for programs that the list of scripts/install-test-tools does not have.
    """
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"no {name} found: install the package {_PACKAGES.get(name, name)}"
    if is_ci() and in_ci:
        pytest.fail(f"{reason} (CI skips nothing)", pytrace=False)
    pytest.skip(reason)
