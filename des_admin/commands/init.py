"""`des-admin init`: asks, tries, and writes a commented configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_core.basics.errors import ConfigError, DesError, Refused
from des_core.basics.object_config import is_object_url

if TYPE_CHECKING:
    from des_admin.config_questions import Answers, Questions

EPILOG = examples(
    "des-admin init",
    "des-admin init --url 'postgresql://archive:${DB_PASSWORD}@db:5432/archive_db' "
    "--output-dir /mnt/des/output --source-root /mnt/files",
    note="A password never goes into the file or onto the command line: write ${DB_PASSWORD}, "
    "and set that variable, or DB_PASSWORD_FILE, where the program runs.",
)
NO_ROOTS = (
    "packer.source_roots is not set: any file that a row names and the runner may read is packed, "
    "and as root none; name them: --source-root DIR"
)


def register(root: typer.Typer) -> None:
    root.command(epilog=EPILOG)(init)


def init(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=True)] = Path(
        "des-admin.yaml"
    ),
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The database of `files`, ${VARIABLES} as they are."),
    ] = None,
    config_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another database for the watermark, if wanted."),
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table with a row per file.")] = None,
    output_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the shards go.")
    ] = None,
    source_root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Where the source files lie: nothing outside is packed. May be repeated; "
            "/ is anywhere.",
        ),
    ] = None,
    lag_days: Annotated[
        int | None, typer.Option(min=0, help="Only files older than this are packed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Try the connection and the table first.")
    ] = True,
) -> None:
    """Write a configuration file. On a terminal it asks for what is missing."""
    from des_admin.config_questions import Answers, Questions
    from des_admin.config_template import render_config, write_config
    from des_core.settings.config_file import load_settings

    context = Context.of(ctx)
    target = context.options.config or file
    if not force:
        _require_absent(target)
    roots = tuple(source_root or ())
    questions = Questions(context, Answers(url, config_url, table, output_dir, roots, lag_days))
    answers, check = _tried(context, questions, target, check=check)
    write_config(target, render_config(answers))
    load_settings(target, env=context.env if check else _Anything(context.env))
    if not answers.source_roots:
        context.warn(NO_ROOTS)
    context.emit(
        "init",
        {"file": target.absolute(), "checked": check},
        lambda out: out.print(f"written: {target}{'' if check else ', untried'}"),
    )
    context.say("next: des-admin doctor, then: des-admin migrate plan")


def _tried(
    context: Context, questions: Questions, target: Path, *, check: bool
) -> tuple[Answers, bool]:
    """The answers, asked again where they fail, and whether they were tried in the end."""
    from des_admin.config_template import render_config

    answers = questions.answers()
    while check:
        try:
            _try_out(context, render_config(answers), target)
            break
        except DesError as exc:
            if not (questions.are_asked and context.prompts.somebody_is_there):
                raise
            check = not questions.write_untried(str(exc))
            if check:
                answers = questions.answers()
    return answers, check


def _require_absent(target: Path) -> None:
    if target.exists():
        raise Refused(
            "the file is there already: nothing was changed",
            hint="read it, or replace it: des-admin init --force",
            file=str(target),
        )


def _try_out(context: Context, text: str, target: Path) -> None:
    """Load the text as the program will, connect, and look at the table."""
    from tempfile import TemporaryDirectory

    from des_core.database.connections import open_database
    from des_core.rows.schema import inspect_source
    from des_core.settings.config_file import load_settings

    with TemporaryDirectory() as directory:
        trial = Path(directory) / "trial.yaml"
        trial.write_text(text, encoding="utf-8")
        try:
            settings = load_settings(trial, env=context.env).settings
        except ConfigError as exc:
            facts = {**exc.facts, "file": f"{target}, not written"}
            hint = f"{exc.hint or 'correct it'}; or write it untried: --no-check"
            raise ConfigError(exc.message, hint=hint, **facts) from exc
    database = open_database(settings.source_url)
    try:
        inspect_source(database, settings.database)
    finally:
        database.close()
    context.say(f"connected; the table {settings.database.table} is as expected")
    output_dir = settings.packer.output_dir
    if not is_object_url(output_dir) and not Path(output_dir).is_dir():
        context.warn(f"the output directory is not there yet: {output_dir}")


class _Anything(dict[str, str]):
    """An environment in which every variable is set, to check a file's form alone."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and not key.startswith("DES_ADMIN__")

    def __missing__(self, key: str) -> str:
        return "x"
