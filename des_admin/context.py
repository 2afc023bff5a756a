"""What a command works with: settings, databases, consoles, prompts and the operator's name.

Everything is made when it is first asked for, so that `--help` and `--version` cost nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from des_admin.options import GlobalOptions
from des_core.basics.errors import ConfigError, DesError, ExitCode, NotMigrated
from des_core.basics.wording import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from des_admin.prompts import Prompts
    from des_admin.render.sections import Section
    from des_core.database.catalog import Catalog
    from des_core.database.connections import Database
    from des_core.ledger.outcomes import Remembered
    from des_core.progress.health import Remark
    from des_core.settings.config import Settings
    from des_core.settings.config_file import LoadedSettings

# Wide enough that nothing is ever cut or wrapped where the output is not a terminal.
PIPED_WIDTH = 100_000


@dataclass
class Session:
    """What is left of a command when it has failed: the context, to know its secrets."""

    context: Context | None = None

    def redact(self, text: str) -> str:
        """The text without the configuration's secrets, as far as it was read."""
        from des_core.process.secrets import Redactor, secrets_of

        loaded = None if self.context is None else self.context.__dict__.get("loaded")
        return Redactor(() if loaded is None else secrets_of(loaded.settings)).clean(text)

    def explain(self, error: BaseException) -> BaseException:
        """A table that is missing because somebody rolled back: by whom and when, instead."""
        if not isinstance(error, NotMigrated) or self.context is None:
            return error
        from des_core.database.connections import open_database
        from des_core.ledger.retired import find_retirement

        url = self.context.settings.config_url
        with suppress(DesError), closing(open_database(url)) as config:
            return find_retirement(config) or error
        return error


class Context:
    """One run of a command. Close it: it owns the database connections."""

    def __init__(self, options: GlobalOptions, env: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.env: Mapping[str, str] = os.environ if env is None else env
        self.overrides: dict[str, object] = {}
        self._closing = ExitStack()

    @staticmethod
    def of(typer_context: Any) -> Context:
        """The context of the program that runs the command."""
        context = typer_context.find_object(Context)
        if not isinstance(context, Context):
            raise ConfigError("the command was called outside the program")
        return context

    # Settings -------------------------------------------------------------------------------

    @cached_property
    def loaded(self) -> LoadedSettings:
        """The settings with file and origins; `overrides` (flags by dotted key) win."""
        from des_core.settings.found import load_found

        return load_found(
            self.options.config,
            env=self.env,
            profile=self.options.profile,
            overrides=self.overrides,
        )

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @property
    def config_path(self) -> Path:
        """The file that was named or found."""
        from des_core.settings.found import find_config

        return find_config(self.options.config, self.env)

    # Databases ------------------------------------------------------------------------------

    @cached_property
    def source(self) -> Database:
        """The database that holds `files`."""
        return self._open(self.settings.source_url)

    @cached_property
    def config_database(self) -> Database:
        """The database that holds the watermark; the same object where it is the same one."""
        if self.settings.config_url == self.settings.source_url:
            return self.source
        return self._open(self.settings.config_url)

    @cached_property
    def source_catalog(self) -> Catalog:
        """The statements in the dialect of the source."""
        from des_core.database.catalog import Catalog

        return Catalog(self.source.dialect, self.settings.database)

    def _open(self, url: str) -> Database:
        from des_core.database.connections import open_database

        database = open_database(url)
        self._closing.callback(database.close)
        return database

    # People ---------------------------------------------------------------------------------

    @cached_property
    def actor(self) -> str:
        """Who does this, for the audit trail."""
        from des_admin.actor import current_actor

        return current_actor(self.env)

    def remembered(self, job: str, *, dry_run: bool = False) -> AbstractContextManager[Remembered]:
        """Keep how the block ends, for the next person's screen; a dry run keeps nothing."""
        from des_core.ledger.outcomes import Remembered, remembered
        from des_core.process.secrets import Redactor, secrets_of

        if dry_run:
            return Remembered.nowhere()
        clean = Redactor(secrets_of(self.settings)).clean
        return remembered(lambda: self.config_database, job, actor=self.actor, clean=clean)

    @cached_property
    def prompts(self) -> Prompts:
        from des_admin.prompts import Prompts

        return Prompts(sys.stdin, self._write_question)

    @property
    def now(self) -> datetime:
        """This machine's clock, for what a person types; the database's clock decides."""
        return datetime.now(UTC)

    @cached_property
    def out(self) -> Console:
        """Data, on stdout."""
        return make_console(sys.stdout, self)

    @cached_property
    def talk(self) -> Console:
        """Everything that is not data, on stderr."""
        return make_console(sys.stderr, self)

    @property
    def wants_json(self) -> bool:
        return self.options.wants_json

    def say(self, text: str, *, style: str = "") -> None:
        """A sentence to the operator; `--quiet` leaves it out."""
        if not self.options.quiet:
            self._talk(text, style)

    def explain(self, text: str) -> None:
        """A detail that only `--verbose` shows."""
        if self.options.verbose:
            self._talk(text, "dim")

    def warn(self, text: str) -> None:
        """Something that went other than wished; shown with `--quiet` too."""
        self._talk(f"warning: {text}", "yellow")

    def _talk(self, text: str, style: str) -> None:
        # One line: what a server or a session says in it begins none of its own.
        self.talk.print(printable(text), style=style, markup=False)

    def show_plan(self, facts: Iterable[tuple[str, object]], *, yes: bool) -> None:
        """What is about to be done, before it is asked for; `--quiet --yes` leaves it out."""
        from des_admin.render.tables import print_facts

        if not self.wants_json and not (self.options.quiet and yes):
            print_facts(self.talk, facts)

    def emit(
        self, command: str, payload: Mapping[str, object], show: Callable[[Console], None]
    ) -> None:
        """Print a result: the payload as JSON, or what `show` draws on the console."""
        if self.wants_json:
            from des_admin.render.json import to_json

            sys.stdout.write(to_json(command, payload) + "\n")
        else:
            show(self.out)
        sys.stdout.flush()

    def drawn(self, sections: Iterable[Section], health: Sequence[Remark] = ()) -> str:
        """The sections as the console would print them, below what needs attention, as text."""
        from des_admin.render.findings import draw_remarks
        from des_admin.render.sections import draw_sections

        with self.out.capture() as capture:
            draw_remarks(self.out, health)
            if health:
                self.out.print()
            draw_sections(self.out, sections)
        return capture.get()

    def finish(self, code: ExitCode) -> NoReturn:
        """End with an exit code that is not an error: new exceptions (3) or findings (4)."""
        import typer

        raise typer.Exit(int(code))

    def close(self) -> None:
        self._closing.close()

    def _write_question(self, text: str) -> None:
        sys.stderr.write(printable(text, keep="\n"))
        sys.stderr.flush()


def discard(stream: Any) -> None:
    """What goes to this stream from now on goes nowhere: its reader went away (`| head`)."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def make_console(stream: Any, context: Context) -> Console:
    """A console that obeys NO_COLOR and TERM, and never cuts what is piped."""
    from rich.console import Console

    class OurConsole(Console):
        def on_broken_pipe(self) -> None:
            """The reader went away. Rich would end the program, with the exit code of a bug.

            Without data there is nothing left to do; without talk the work goes on.
            """
            if stream is not sys.stderr:
                raise  # noqa: PLE0704 - called while the BrokenPipeError is handled
            discard(stream)

        def render_str(self, text: str, **options: Any) -> Text:
            """Plain text is never obeyed, whoever wrote a part of it."""
            return super().render_str(printable(text, keep="\n"), **options)

    is_terminal = stream.isatty()
    return OurConsole(
        file=stream,
        no_color=context.options.no_color or None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        width=None if is_terminal else PIPED_WIDTH,
        force_terminal=None if is_terminal else False,
    )
