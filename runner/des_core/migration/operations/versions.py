"""The version files of Alembic, where each revision's operations are listed, up and down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import ScriptDirectory

from des_core.basics.resources import resource_dir
from des_core.ledger.revisions import Direction, Revision

if TYPE_CHECKING:
    from des_core.migration.operations.kinds import Operation

Operations = Sequence["Operation"]
# What a version file hands its operations to: the plan, execution, or the writer of a script.
Walk = Callable[[Operations], None]


def alembic_config() -> Config:
    """Alembic's own configuration, with the revisions of the wheel or of the checkout."""
    config = Config()
    config.set_main_option("script_location", str(resource_dir("alembic")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def script_directory() -> ScriptDirectory:
    """The revisions as Alembic sees them."""
    return ScriptDirectory.from_config(alembic_config())


def operations_of(revision: Revision, direction: Direction) -> Operations:
    """What the version file says that the revision does, in order."""
    from des_core.migration.operations.bookkeeping import bookkeeping

    found: list[Operation] = []
    module = script_directory().get_revision(revision.name).module
    (module.upgrade if direction is Direction.UP else module.downgrade)(found.extend)
    return bookkeeping(revision, direction, found)
