"""Options that several commands share; their words and types are one place."""

from __future__ import annotations

from typing import Annotated

import typer

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")]
ReasonOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Why; goes into the audit trail.")
]
