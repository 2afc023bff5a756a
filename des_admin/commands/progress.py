"""`des-admin progress`: how far the archive is."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples

if TYPE_CHECKING:
    from des_core.database_source import SourceReader


class Format(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin progress",
            "des-admin progress --daily --days 7 --format markdown",
            "des-admin progress --watch 5",
            note="Numbers come from the watermark and the ledger. Of the table only a sample is "
            "read, and then it says estimated; --exact counts, which takes long on a large table.",
        )
    )(progress)


def progress(
    ctx: typer.Context,
    daily: Annotated[bool, typer.Option("--daily", help="A line per day instead.")] = False,
    days: Annotated[
        int, typer.Option(min=1, max=36_500, help="How many days up to the watermark.")
    ] = 30,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: what --output says.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Count the table's rows by its index.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(min=0.5, metavar="SECONDS", help="Show it again and again until Ctrl-C."),
    ] = None,
) -> None:
    """Show watermark, target, what waits, what is archived, exceptions, rate and time left."""
    from des_core.database_source import SourceReader

    context = Context.of(ctx)
    form = format_ or (Format.JSON if context.wants_json else Format.TABLE)
    source = SourceReader(context.source, context.settings.database)
    report = _Report(context, source, form, exact=exact, days=days if daily else None)
    if watch is None:
        context.out.file.write(report.text())
        return
    _watch(context, report, watch)


class _Report:
    """One report that can be made again and again."""

    def __init__(
        self, context: Context, source: SourceReader, form: Format, *, exact: bool, days: int | None
    ) -> None:
        self.context, self.source, self.form = context, source, form
        self.exact, self.days = exact, days

    def text(self) -> str:
        """The whole report, with a newline at its end."""
        return self._whole() if self.days is None else self._daily(self.days)

    def _whole(self) -> str:
        from des_admin.render import progress_view as view
        from des_admin.render.json import to_json
        from des_admin.render.sections import to_csv, to_markdown
        from des_core.progress import read_progress

        progress = read_progress(self.context.config_database, self.source, exact=self.exact)
        if self.form is Format.JSON:
            return to_json("progress", view.progress_json(progress)) + "\n"
        if self.form is Format.CSV:
            return to_csv(("name", "value"), view.progress_rows(progress))
        sections = view.progress_sections(progress)
        if self.form is Format.MARKDOWN:
            return to_markdown(sections)
        return self.context.drawn(sections)

    def _daily(self, days: int) -> str:
        from des_admin.render import progress_view as view
        from des_admin.render.json import to_json
        from des_admin.render.sections import to_csv, to_markdown
        from des_core.progress import read_days

        config = self.context.config_database
        found = read_days(config, self.source, days=days, exact=self.exact)
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
    """Ctrl-C is how one leaves: not an error."""
    out = context.out
    try:
        while True:
            text = report.text()
            if out.is_terminal:
                out.clear()
            out.file.write(text)
            out.file.flush()
            time.sleep(every_s)
    except KeyboardInterrupt:
        context.say("")
