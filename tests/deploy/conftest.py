"""Fixtures of the deployment tests: a configuration and what it is rendered to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from des_admin.deployment.files import render_all
from des_admin.deployment.options import Deployment
from des_admin.deployment.request import make_deployment
from support.pages.deployment import CONFIGS, DEFAULTS, GUIDE_CONFIG, MakeDeployment


@pytest.fixture
def make(tmp_path: Path) -> MakeDeployment:
    """A Deployment from the text of a configuration and flags."""

    def from_text(
        text: str | None = None,
        *,
        schedule: str = "0 * * * *",
        env: Mapping[str, str] | None = None,
        profile: str | None = None,
        **options: Any,
    ) -> Deployment:
        path = GUIDE_CONFIG
        if text is not None:
            path = tmp_path / "config.yaml"
            path.write_text(text)
        return make_deployment(path, profile, env or {}, schedule, DEFAULTS | options)

    return from_text


@pytest.fixture(params=CONFIGS)
def deployment(request: pytest.FixtureRequest, make: MakeDeployment) -> Deployment:
    """Each of three configurations in turn."""
    return make(CONFIGS[request.param])


@pytest.fixture
def rendered(deployment: Deployment) -> dict[str, str]:
    """All texts by path, for each configuration in turn."""
    return render_all(deployment)
