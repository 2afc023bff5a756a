"""`has`, `get`, `ls`, `export`: under `des-admin archive`, and as `des-retriever` on their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_core.basics.errors import UsageError

OutputDirOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="The archive's directory or bucket, without any configuration."
    ),
]
BitsOption = Annotated[
    int | None,
    typer.Option(
        "--n-bits", min=4, max=16, help="packer.n_bits of the archive; 8 if nothing says otherwise."
    ),
]
CreatedAtOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="created_at of the file, if known: finds it at once."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace a file of other content that is there.")
]


def make_archive_app(program: str, help_text: str) -> typer.Typer:
    """The commands; `program` is how their examples call them."""
    app = typer.Typer(no_args_is_help=True, help=help_text)
    app.command(
        epilog=examples(
            f"{program} has 4711",
            f"{program} has 4711 --created-at 2024-11-01T12:30:00Z",
            note="Exit code 4 if a file is not there; 20 if a shard that may have it is damaged or "
            "gone, so that nobody can tell.",
        )
    )(has)
    app.command(
        epilog=examples(
            f"{program} get 4711 --to invoice.pdf",
            f"{program} get 4711 > invoice.pdf",
            f"{program} get --from-file uids.txt --to restored/",
            note="A line of a list is a uid exactly, or uid, a tab, and created_at, which is "
            "faster. Each line is answered. Files come out under their uids, percent-encoded "
            "if a file system needs it, or under a hash if that is no file name.",
        )
    )(get)
    app.command(
        epilog=examples(
            f"{program} ls",
            f"{program} ls --day 2024-11-01",
            f"{program} ls --shard 20241101_2A_0000.des --output json",
        )
    )(ls)
    app.command(
        epilog=examples(
            f"{program} export --day 2024-11-01 --to restored/",
            f"{program} export --day 2024-11-01 > day.tar",
            f"{program} export --shard 20241101_2A_0000.des --to restored/",
            note="Files come out under their uids, percent-encoded if a file system needs it, "
            "or under a hash if that is no file name. Exit code 20 if a shard is damaged; what is "
            "sound comes out all the same, and a tar then has no proper end.",
        )
    )(export)
    return app


def register(root: typer.Typer) -> None:
    app = make_archive_app(
        "des-admin archive",
        "Read files back from the archive: has, get, ls, export (as des-retriever).",
    )
    root.add_typer(app, name="archive")


def has(
    ctx: typer.Context,
    uids: Annotated[list[str], typer.Argument(metavar="UID...", help="The files to look for.")],
    created_at: CreatedAtOption = None,
    output_dir: OutputDirOption = None,
    n_bits: BitsOption = None,
) -> None:
    """Say whether the archive has a file, and in which shard."""
    from des_admin.commands import archive_files as files
    from des_core.reading.retriever import Wanted

    context = Context.of(ctx)
    retriever = files.open_retriever(context, files.Place(output_dir, n_bits))
    moment = files.parse_created_at(created_at)
    files.check_has(context, retriever, [Wanted(uid, moment) for uid in uids])


def get(
    ctx: typer.Context,
    uid: Annotated[str | None, typer.Argument(metavar="UID", help="The file.")] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR", help="Where to; stdout without it. `DIR/` is made if need be."
        ),
    ] = None,
    created_at: CreatedAtOption = None,
    from_file: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="Many files, named in a list; - is stdin."),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="NUL ends each uid of the list, not a line feed.")
    ] = False,
    comments: Annotated[
        bool, typer.Option("--comments", help="Lines of the list that begin with # are comments.")
    ] = False,
    force: ForceOption = False,
    output_dir: OutputDirOption = None,
    n_bits: BitsOption = None,
) -> None:
    """Read a file back, checked to the last byte. What is there already is not replaced."""
    from des_admin.commands import archive_files as files
    from des_admin.commands import archive_get
    from des_admin.uid_lists import read_lines
    from des_core.reading.retriever import Wanted

    context = Context.of(ctx)
    _require_named(to)
    if (uid is None) == (from_file is None):
        raise UsageError("name one file, or a list: UID or --from-file LIST")
    retriever = files.open_retriever(context, files.Place(output_dir, n_bits))
    if from_file is not None:
        if to is None:
            raise UsageError("many files need a directory: --to DIR")
        lines = read_lines(from_file, is_null=null, has_comments=comments)
        archive_get.get_many(context, retriever, lines, to, force=force)
    elif uid is not None:
        wanted = Wanted(uid, files.parse_created_at(created_at))
        archive_get.get_one(context, retriever, wanted, to, force=force)


def ls(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Option(metavar="DAY", help="Files of this UTC day of created_at.")
    ] = None,
    shard: Annotated[str | None, typer.Option(metavar="NAME", help="Files of this shard.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many lines at most.")] = 1000,
    output_dir: OutputDirOption = None,
    n_bits: BitsOption = None,
) -> None:
    """List shards; or, with --day or --shard, the files in them."""
    from des_admin.commands import archive_files as files

    context = Context.of(ctx)
    retriever = files.open_retriever(context, files.Place(output_dir, n_bits))
    if shard is not None:
        files.require_shard(retriever, shard)
        files.list_files(context, retriever, [shard], limit)
    elif day is not None:
        its_day = files.parse_day(day)
        files.list_files(context, retriever, retriever.shards(its_day), limit)
        files.refuse_lost(retriever.lost(its_day))
    else:
        files.list_shards(context, retriever, None, limit)


def export(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Option(metavar="DAY", help="All files of this UTC day of created_at.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="NAME", help="All files of this shard.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Where to; a tar on stdout without it. `DIR/` is made if need be."
        ),
    ] = None,
    force: ForceOption = False,
    output_dir: OutputDirOption = None,
    n_bits: BitsOption = None,
) -> None:
    """Read back all files of a day or of a shard, each checked to the last byte."""
    from des_admin.commands import archive_export
    from des_admin.commands import archive_files as files
    from des_admin.commands.archive_get import make_directory

    context = Context.of(ctx)
    _require_named(to)
    if (day is None) == (shard is None):
        raise UsageError("name a day or a shard: --day DAY or --shard NAME")
    retriever = files.open_retriever(context, files.Place(output_dir, n_bits))
    if shard is not None:
        files.require_shard(retriever, shard)
        shards = [shard]
    else:
        its_day = files.parse_day(day)
        # What is lost is told at the end, after all that is there came out.
        shards = sorted({*retriever.shards(its_day), *retriever.lost(its_day)})
        archive_export.require_shards(shards, day)
    if to is None:
        archive_export.export_as_tar(context, retriever, shards)
        return
    if to.endswith("/"):
        make_directory(Path(to))
    archive_export.export_to_directory(context, retriever, shards, Path(to), force=force)


def _require_named(to: str | None) -> None:
    if to == "":
        raise UsageError("--to names nothing", hint="is the variable set that it comes from?")
