"""Where SQL, the Alembic environment and deploy/ lie: inside the wheel, or in the checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from des_core.basics.errors import WrongSchema

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def resource_dir(name: str) -> Path:
    """The directory `sql`, `alembic` or `deploy`: `des_core/_NAME`, or where it was checked out."""
    for candidate in (_PACKAGE / f"_{name}", _PACKAGE.parent.parent / name):
        if candidate.is_dir():
            return candidate
    raise WrongSchema(
        f"the installed des-admin has no {name} directory",
        hint="install it again: pip install --force-reinstall des-admin",
        looked_in=str(_PACKAGE),
    )
