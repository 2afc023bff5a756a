"""Alembic's part: which revision each database is at, and running one revision after another.

The two branches may live in two databases, each with its own `des_admin_version`. Every step of
a revision looks at the live state and may be repeated, so the version row is written after the
revision, in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

from des_core.basics.errors import ConfigError, UsageError
from des_core.basics.resources import resource_dir
from des_core.ledger.revisions import BY_NAME, DROP_ARCHIVED, VERSION_TABLE, WATERMARK, Revision
from des_core.migration.heads import all_heads
from des_core.migration.plan import seed_needs_index
from des_core.migration.run import DEFAULT_ACTOR, MigrationOptions, MigrationRun, open_run

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext

KNOWN_ARGUMENTS = ("config", "backup", "seed_at", "purge", "actor", "reason")


def script_directory() -> ScriptDirectory:
    """The revisions as Alembic sees them, from the wheel or the checkout."""
    config = Config()
    config.set_main_option("script_location", str(resource_dir("alembic")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def run_revisions(migration: MigrationRun, revisions: Iterable[Revision], *, upgrade: bool) -> None:
    """Run these revisions in the given order, each on its own database."""
    script = script_directory()
    make = MigrationStep.upgrade_from_script if upgrade else MigrationStep.downgrade_from_script
    for revision in revisions:
        _run_step(migration, make(script.revision_map, script.get_revision(revision.name)))


def run_environment(context: Any, env: Mapping[str, str]) -> None:
    """What env.py does: the command's revisions, in our order, each where it belongs."""
    arguments = _arguments(context)
    settings, options = _settings(arguments, env), _options(arguments)
    actor = arguments.get("actor") or env.get("DES_ADMIN_ACTOR") or DEFAULT_ACTOR
    with open_run(settings, actor=actor, options=options) as migration:
        if context.is_offline_mode():
            _print_script(context, migration)
        else:
            _run_command(context, migration)


def _run_step(migration: MigrationRun, step: Any) -> None:
    revision = BY_NAME[step.revision.revision]
    database = migration.database(revision.branch)
    with database.autocommit() as tx:
        context = MigrationContext.configure(
            tx.connection,
            opts={
                "version_table": VERSION_TABLE,
                "transactional_ddl": False,
                "fn": lambda _heads, _context: [step],
            },
        )
        context.run_migrations(run=migration)


def _run_command(context: EnvironmentContext, migration: MigrationRun) -> None:
    from des_core.locks.lock import hold_lock

    heads = tuple(sorted(all_heads(migration)))
    with migration.config.autocommit() as tx:
        context.configure(connection=tx.connection, version_table=VERSION_TABLE)
        alembic_context = context.get_context()
        steps: list[Any] = list(alembic_context.opts["fn"](heads, alembic_context))
    if not steps:
        return
    if any(not hasattr(step, "revision") for step in steps):
        raise UsageError(
            "`alembic stamp` would claim what was not done",
            hint="run the migrations instead: des-admin migrate up; each step skips what is there",
        )
    upgrade = not steps[0].is_downgrade
    steps.sort(key=lambda step: str(step.revision.revision), reverse=not upgrade)
    with hold_lock(migration.config, "alembic"):
        if upgrade:
            _look_ahead(migration, [str(step.revision.revision) for step in steps])
        for step in steps:
            _run_step(migration, step)


def _look_ahead(migration: MigrationRun, names: list[str]) -> None:
    """Refuse before the first change what a later revision would refuse."""
    from des_core.migration.gate import preview_gate, require_passed
    from des_core.migration.seed import plan_seed

    revisions = tuple(BY_NAME[name] for name in names)
    if WATERMARK.name in names and not seed_needs_index(migration, revisions):
        migration.seed_plan = plan_seed(migration)
    if DROP_ARCHIVED.name in names:
        require_passed(preview_gate(migration))


def _print_script(context: EnvironmentContext, migration: MigrationRun) -> None:
    raise UsageError(
        "alembic --sql cannot write the scripts for two databases",
        hint="des-admin migrate sql prints them",
    )


def _arguments(context: EnvironmentContext) -> dict[str, str]:
    arguments: dict[str, str] = dict(context.get_x_argument(as_dictionary=True))
    unknown = sorted(set(arguments) - set(KNOWN_ARGUMENTS))
    if unknown:
        raise UsageError(
            f"unknown argument: -x {unknown[0]}=…", hint="known: " + ", ".join(KNOWN_ARGUMENTS)
        )
    return arguments


def _settings(arguments: Mapping[str, str], env: Mapping[str, str]) -> Any:
    from des_core.settings.config_file import load_settings

    named = arguments.get("config") or env.get("DES_ADMIN_CONFIG")
    if not named:
        raise ConfigError(
            "no configuration is named",
            hint="alembic -x config=FILE …, or set DES_ADMIN_CONFIG",
        )
    return load_settings(Path(named), env=env).settings


def _options(arguments: Mapping[str, str]) -> MigrationOptions:
    from datetime import UTC, datetime

    from des_core.basics.timestamps import parse_time

    seed_at = arguments.get("seed_at")
    return MigrationOptions(
        drop_archived=True,
        seed_at=None if seed_at is None else parse_time(seed_at, now=datetime.now(UTC)),
        backup=arguments.get("backup"),
        purge=arguments.get("purge") == "yes",
        reason=arguments.get("reason"),
    )
