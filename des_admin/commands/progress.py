"""`des-admin progress`: how far the archive is."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import seconds
from des_core.basics.errors import UsageError
from des_core.basics.time_limit import within

if TYPE_CHECKING:
    from des_core.progress.now import Progress
    from des_core.rows.reader import SourceReader


LIMIT_S = 60.0


class Format(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin progress",
            "des-admin progress --daily --days 7 --format markdown",
            "des-admin progress --watch --interval 10s",
            "des-admin progress --days 90 --format html > report.html",
            note="Numbers come from the watermark and the ledger. Of the table only a sample is "
            "read, and then it says estimated; --exact counts, which takes long on a large table. "
            "Without it, a database that does not answer is given up after a minute (exit 10).",
        )
    )(progress)


def progress(
    ctx: typer.Context,
    daily: Annotated[bool, typer.Option("--daily", help="A line per day instead.")] = False,
    days: Annotated[
        int, typer.Option(min=1, max=36_500, help="How many days, for --daily and for html.")
    ] = 30,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: the format of --output.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Count the table's rows by its index.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="A full screen until q or Ctrl-C.")
    ] = False,
    every_s: Annotated[
        float,
        typer.Option(
            "--interval",
            parser=seconds(0.5),
            metavar="LENGTH",
            help="Time between two reports of --watch.",
        ),
    ] = 5.0,
) -> None:
    """Show watermark, target, what waits, what is archived, exceptions, rates and time left."""
    from des_core.ledger.archive_table import require_same_table
    from des_core.rows.reader import SourceReader

    context = Context.of(ctx)
    form = format_ or (Format.JSON if context.wants_json else Format.TABLE)
    if watch and form is Format.HTML:
        raise UsageError("--watch shows a report again and again: not with --format html")

    def open_source() -> SourceReader:
        source = SourceReader(context.source, context.settings.database)
        table = context.settings.database.table
        require_same_table(context.source, table, context.config_database)
        return source

    source = within(LIMIT_S, open_source)
    report = _Report(context, source, form, exact=exact, daily=daily, days=days)
    if watch:
        _watch(context, report, every_s)
        return
    text = report.text()
    context.out.file.write(text)
    if context.out.is_terminal and text.count("\n") >= context.out.height and report.attention:
        context.say(f"↑ needs attention: {report.attention}", style="red")


class _Report:
    """One report that can be made again and again."""

    def __init__(
        self,
        context: Context,
        source: SourceReader,
        form: Format,
        *,
        exact: bool,
        daily: bool,
        days: int,
    ) -> None:
        self.context, self.source, self.form = context, source, form
        self.exact, self.daily, self.days = exact, daily, days
        self.attention: str | None = None

    @property
    def is_for_people(self) -> bool:
        """A table, which on a terminal becomes a screen."""
        return self.form is Format.TABLE and not self.daily

    def read(self) -> Progress:
        """The picture now."""
        return within(self.limit_s, self._read)

    def _read(self) -> Progress:
        from des_core.progress.now import read_progress

        packer = self.context.settings.packer.to_config()
        config = self.context.config_database
        return read_progress(config, self.source, exact=self.exact, packer=packer)

    @property
    def limit_s(self) -> float | None:
        """A count takes as long as it takes."""
        return None if self.exact else LIMIT_S

    def text(self) -> str:
        """The whole report, with a newline at its end."""
        if self.form is Format.HTML:
            return within(self.limit_s, self._page)
        return within(self.limit_s, self._daily if self.daily else self._whole)

    def _page(self) -> str:
        from des_admin.render.report import Report, render_report
        from des_core.progress.history import read_history
        from des_core.progress.now import read_days

        config = self.context.config_database
        progress = self._read()
        report = Report(
            title=f"Archive of {self.source.settings.table} in {self.context.source.label}",
            progress=progress,
            days=read_days(config, self.source, days=self.days, exact=self.exact),
            history=read_history(config, progress, days=self.days),
            exact=self.exact,
        )
        return render_report(report)

    def _whole(self) -> str:
        from des_admin.render import progress_view as view
        from des_admin.render.json import to_json
        from des_admin.render.sections import to_csv, to_markdown

        progress = self._read()
        self.attention = progress.health[0].text if progress.health else None
        if self.form is Format.JSON:
            return to_json("progress", view.progress_json(progress)) + "\n"
        if self.form is Format.CSV:
            return to_csv(("name", "value"), view.progress_rows(progress))
        sections = view.progress_sections(progress)
        if self.form is Format.MARKDOWN:
            return to_markdown([*view.health_sections(progress), *sections])
        return self.context.drawn(sections, progress.health)

    def _daily(self) -> str:
        from des_admin.render import progress_view as view
        from des_admin.render.json import to_json
        from des_admin.render.sections import to_csv, to_markdown
        from des_core.progress.now import read_days

        config = self.context.config_database
        found = read_days(config, self.source, days=self.days, exact=self.exact)
        if self.form is Format.JSON:
            payload = {"exact": self.exact, "days": found}
            return to_json("progress-daily", payload) + "\n"
        if self.form is Format.CSV:
            return to_csv(view.DAY_FIELDS, view.day_rows(found))
        section = view.day_section(found, exact=self.exact)
        if self.form is Format.MARKDOWN:
            return to_markdown([section])
        return self.context.drawn([section])


def _watch(context: Context, report: _Report, every_s: float) -> None:
    """A full screen on a terminal; elsewhere one report after the other. Ctrl-C is no error."""
    out = context.out
    try:
        if out.is_terminal and report.is_for_people:
            from des_admin.render.watch import WatchScreen

            WatchScreen(report.read, every_s).run(out)
            return
        while True:
            out.file.write(report.text())
            out.file.flush()
            time.sleep(every_s)
    except KeyboardInterrupt:
        context.say("")
