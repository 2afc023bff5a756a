"""Alembic's part: what env.py does with a command's revisions, each where its branch lives.

The two branches may live in two databases, each with its own `des_admin_version`; Alembic is shown
the heads of both as of one. Refusals leave as Alembic's own error, in one line with our hint.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.util import CommandError

from des_core.basics.errors import ConfigError, DesError, UsageError
from des_core.ledger.revisions import (
    BY_NAME,
    DROP_ARCHIVED,
    LEDGER,
    VERSION_TABLE,
    WATERMARK,
    Branch,
    Direction,
    Revision,
)
from des_core.migration.base.migration import (
    DEFAULT_ACTOR,
    Migration,
    MigrationOptions,
    Notice,
    open_migration,
)
from des_core.migration.execution import carry_out
from des_core.migration.plan import seed_needs_index
from des_core.migration.purge import require_purge
from des_core.migration.script import render_revisions
from des_core.migration.state.heads import all_heads

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext

    from des_core.settings.config import Settings

KNOWN_ARGUMENTS = ("config", "backup", "seed_at", "purge", "actor", "reason", "database")
# What des-admin hands over in the attributes of Alembic's configuration.
SETTINGS, ACTOR = "des_admin_settings", "des_admin_actor"


def run_environment(context: Any, env: Mapping[str, str]) -> None:
    """What env.py does: the command's revisions, in our order, each where it belongs."""
    with _as_alembic_error():
        arguments = _arguments(context)
        settings, options = _settings(context, arguments, env), _options(arguments)
        actor = _actor(context, arguments, env)
        offline = context.is_offline_mode()

        def report(notice: Notice) -> None:
            if not (notice.is_detail or offline or notice.done_rows is not None):
                context.config.print_stdout("%s", f"{notice.step}: {notice.text}")

        with open_migration(
            settings, actor=actor, options=options, report=report, only_look=offline
        ) as migration:
            if offline:
                _write_script(context, migration, arguments.get("database"))
            else:
                _run_command(context, migration)


@contextmanager
def _as_alembic_error() -> Iterator[None]:
    """Alembic prints its own errors in one line and ends with a failure."""
    try:
        yield
    except DesError as exc:
        facts = ", ".join(f"{name}: {value}" for name, value in exc.facts.items())
        parts = [exc.message, *([f"({facts})"] if facts else [])]
        hint = f" – {in_alembic_words(exc.hint)}" if exc.hint else ""
        raise CommandError(" ".join(" ".join(parts).split()) + hint) from exc


def in_alembic_words(hint: str) -> str:
    """The options that have another name here."""
    for option, argument in (("--backup NAME", "-x backup=NAME"), ("--seed-at ", "-x seed_at=")):
        hint = hint.replace(option, argument)
    return hint


def _run_command(context: EnvironmentContext, migration: Migration) -> None:
    with migration.config.autocommit() as tx:
        context.configure(connection=tx.connection, version_table=VERSION_TABLE)
        steps = _steps(context, shown_heads(all_heads(migration)))
    if not steps:
        return
    direction, revisions = _in_order(steps)
    with migration.holding("alembic"):
        if direction is Direction.UP:
            _go_up(context, migration, revisions)
            return
        if LEDGER in revisions:
            require_purge(migration)
        for revision in revisions:
            _carry_out(context, migration, revision, direction)


def shown_heads(heads: frozenset[str]) -> tuple[str, ...]:
    """The heads for Alembic, newest first: what `-1` takes back. What another needs is no head."""
    needed = {BY_NAME[name].needs for name in heads}
    return tuple(sorted(heads - needed, reverse=True))


def _steps(context: EnvironmentContext, heads: tuple[str, ...]) -> list[Any]:
    """What the command asks Alembic for, as Alembic's own steps."""
    alembic_context = context.get_context()
    with warnings.catch_warnings():
        # Of two heads it would be ambiguous which one `-1` takes back; ours come newest first.
        warnings.filterwarnings("ignore", "downgrade -1 from multiple heads", UserWarning)
        steps: list[Any] = list(alembic_context.opts["fn"](heads, alembic_context))
    if any(not hasattr(step, "revision") for step in steps):
        raise UsageError(
            "`alembic stamp` would claim what was not done",
            hint="run the migrations instead: des-admin migrate up; each step skips what is there",
        )
    return steps


def _in_order(steps: Sequence[Any]) -> tuple[Direction, list[Revision]]:
    direction = Direction.DOWN if steps[0].is_downgrade else Direction.UP
    names = {str(step.revision.revision) for step in steps}
    return direction, [BY_NAME[name] for name in sorted(names, reverse=bool(direction == "down"))]


def _go_up(
    context: EnvironmentContext, migration: Migration, revisions: Sequence[Revision]
) -> None:
    """Refuse before the first change what a later revision would; the optional drop comes last."""
    from des_core.migration.gate.checks import check_gate, require_passed
    from des_core.migration.seed.seeding import plan_seed

    if WATERMARK in revisions and not seed_needs_index(migration, tuple(revisions)):
        migration.seed_plan = plan_seed(migration)
    for revision in revisions:
        if revision is DROP_ARCHIVED:
            require_passed(check_gate(migration))
        _carry_out(context, migration, revision, Direction.UP)


def _carry_out(
    context: EnvironmentContext, migration: Migration, revision: Revision, direction: Direction
) -> None:
    carry_out(migration, [revision], direction)
    context.config.print_stdout("%s", f"{direction}: {revision.name}, {revision.intent}")


def _write_script(context: EnvironmentContext, migration: Migration, database: str | None) -> None:
    """`--sql`: what `des-admin migrate sql` writes for these revisions."""
    places = [branch.value for branch in Branch]
    if database is not None and database not in places:
        raise UsageError("-x database= wants source or config", given=database)
    if database is None and not migration.shares_database:
        raise UsageError(
            "the watermark lives in a database of its own: there are two scripts",
            hint="ask for one after the other, in this order on the way up:"
            " -x database=config, -x database=source",
        )
    name = migration.config.engine.dialect.name
    context.configure(dialect_name=name, version_table=VERSION_TABLE)
    starting: Any = context.get_starting_revision_argument()
    heads = (starting,) if isinstance(starting, str) else tuple(starting or ())
    steps = _steps(context, shown_heads(frozenset(heads)))
    if not steps:
        return
    direction, revisions = _in_order(steps)
    for script in render_revisions(migration, revisions, direction):
        if database is None or database in script.place:
            # Written as it is: nothing in SQL may be wrapped or escaped.
            context.get_context().output_buffer.write(script.text)


def _arguments(context: EnvironmentContext) -> dict[str, str]:
    arguments: dict[str, str] = dict(context.get_x_argument(as_dictionary=True))
    unknown = sorted(set(arguments) - set(KNOWN_ARGUMENTS))
    if unknown:
        raise UsageError(
            f"unknown argument: -x {unknown[0]}=…", hint="known: " + ", ".join(KNOWN_ARGUMENTS)
        )
    return arguments


def _settings(
    context: EnvironmentContext, arguments: Mapping[str, str], env: Mapping[str, str]
) -> Settings:
    """Those of des-admin, where it is the caller; else of the file that is named."""
    from des_core.settings.config_file import load_settings

    given: Callable[[], Settings] | None = context.config.attributes.get(SETTINGS)
    named = arguments.get("config") or env.get("DES_ADMIN_CONFIG")
    if given is not None and "config" not in arguments:
        return given()
    if not named:
        raise ConfigError(
            "no configuration is named",
            hint="alembic -x config=FILE …, or set DES_ADMIN_CONFIG",
        )
    return load_settings(Path(named), env=env).settings


def _actor(
    context: EnvironmentContext, arguments: Mapping[str, str], env: Mapping[str, str]
) -> str:
    caller: str | None = context.config.attributes.get(ACTOR)
    return arguments.get("actor") or caller or env.get("DES_ADMIN_ACTOR") or DEFAULT_ACTOR


def _options(arguments: Mapping[str, str]) -> MigrationOptions:
    from datetime import UTC, datetime

    from des_core.basics.timestamps import parse_time

    seed_at = arguments.get("seed_at")
    backup = arguments.get("backup")
    if backup is not None and not backup.strip():
        raise UsageError("-x backup= wants a name")
    return MigrationOptions(
        drop_archived=True,
        seed_at=None if seed_at is None else parse_time(seed_at, now=datetime.now(UTC)),
        backup=backup,
        purge=arguments.get("purge") == "yes",
        reason=arguments.get("reason"),
    )
