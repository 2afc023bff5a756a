"""`des-admin demo`: the whole cutover and back, on made-up files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_core.basics.errors import UsageError
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_admin.demo.play import Played


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin demo",
            "des-admin demo --keep",
            note="Takes about a minute and some 200 MB of disk. Touches nothing of yours: it "
            "works in a directory of its own, on SQLite, and reads no configuration.",
        )
    )(demo)


def demo(
    ctx: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the directory, to look around in it.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where; must not exist yet. Implies --keep."),
    ] = None,
    files: Annotated[
        int, typer.Option(min=2000, max=1_000_000, help="How many files are made up.")
    ] = 20_000,
) -> None:
    """Watch a whole cutover on made-up files: migrate, pack, report, verify, roll back."""
    from des_admin.demo.play import play
    from des_admin.demo.stage import Stage

    context = Context.of(ctx)
    place = _make_directory(directory)
    is_kept = keep or directory is not None
    try:
        played = play(Stage(context, place), context.now, files)
        _finish(context, played, is_kept=is_kept)
    finally:
        if not is_kept:
            shutil.rmtree(place, ignore_errors=True)


def _make_directory(wanted: Path | None) -> Path:
    try:
        if wanted is None:
            return Path(tempfile.mkdtemp(prefix="des-demo-")).resolve()
        wanted.mkdir(parents=True)
        return wanted.resolve()
    except FileExistsError as exc:
        raise UsageError("the directory exists already", path=str(wanted)) from exc
    except OSError as exc:
        raise UsageError(f"the directory cannot be made: {exc.strerror}", path=str(wanted)) from exc


def _finish(context: Context, played: Played, *, is_kept: bool) -> None:
    payload = {
        "files": played.files,
        "rows_checked": played.proof.rows,
        "archived": played.proof.archived,
        "exceptions": played.proof.exceptions,
        "steps": played.steps,
        "duration_seconds": round(played.duration_s, 1),
        "directory": played.directory if is_kept else None,
    }

    def draw(out: Console) -> None:
        out.print()
        out.print("The whole way, there and back", style="bold cyan")
        for step in played.steps:
            out.print(f"  {step.seconds:5.1f} s  {step.command}")
        out.print(
            f"  {played.duration_s:5.1f} s  in all, and {numbered(played.files, 'file')} made"
        )
        out.print()
        out.print("Where to look next", style="bold cyan")
        if is_kept:
            out.print(f"  cd {played.directory}; des-admin doctor")
        out.print("  des-admin init         a configuration for your own database")
        out.print("  des-admin --help       every command, every exit code")
        out.print("  RUNBOOK.md             the day of the cutover, and every day after it")

    context.emit("demo", payload, draw)
