"""`des-admin verify`: every shard against ledger and checksums; `--repair` for what is damaged."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, short_hashes, size
from des_core.basics.errors import CheckFailed, DamagedData, UsageError
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.reading.verify import ShardVerdict, VerifyReport
    from watermark_orchestrator.repair import RepairReport


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin verify",
            "des-admin verify --sample 1/7",
            "des-admin verify --max-duration 4h --max-age 30d",
            "des-admin verify --repair",
            "des-admin verify --output-dir /mnt/copy",
            note="Exit code 20 if a shard is missing, damaged or cannot be read, and was not "
            "repaired in full. Shards that the ledger does not know (packed in per-record mode) "
            "are checked by their own checksums. What is sound is recorded, so that the next "
            "run begins with what was never verified, or longest ago.",
        )
    )(verify)


@dataclass(frozen=True)
class _Request:
    """What was typed."""

    sample: str | None
    max_age: timedelta | None
    max_duration: timedelta | None
    threads: int


def verify(
    ctx: typer.Context,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%|n/t", help="N random shards, P percent of them, or the n-th of t parts."
        ),
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Stop after this time, e.g. 30m or 4h.")
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Only shards not verified for this time, e.g. 30d."),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A copy of the archive instead; nothing is recorded."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set damaged shards aside, pack their files again."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Record nothing; with --repair, show what it would set aside."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before repairing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Shards read at once.")] = 4,
) -> None:
    """Read every shard whole and compare it with the ledger, the least recently verified first."""
    from des_core.basics.durations import parse_duration
    from des_core.ledger.outcomes import VERIFY

    context = Context.of(ctx)
    request = _Request(
        sample,
        None if max_age is None else parse_duration(max_age),
        None if max_duration is None else parse_duration(max_duration),
        jobs,
    )
    if output_dir is not None:
        _verify_copy(context, request, output_dir, repair=repair)
        return
    with context.remembered(VERIFY, dry_run=dry_run) as seen:
        report = _read(context, request, records=not dry_run)
        seen.files = len(report.findings)
        repaired = None
        if repair and not dry_run and (report.findings or _may_salvage(context)):
            if report.findings:
                _confirm(context, report, yes=yes)
            repaired = _repair(context, report.findings)
        context.emit("verify", _payload(report, repaired), lambda out: _draw(out, report, repaired))
        _judge(report, repaired)


def _verify_copy(context: Context, request: _Request, copy: Path, *, repair: bool) -> None:
    """The copy against the same ledger. What is wrong with it says nothing about the original."""
    if repair or request.max_age is not None:
        raise UsageError(
            "a copy is only read: neither --repair nor --max-age go with --output-dir",
            hint="fix it by copying again, whole files, then verify it again",
        )
    if not copy.is_dir():
        raise UsageError("there is no directory here", path=str(copy))
    report = _read(context, request, copy)
    context.emit("verify", _payload(report, None), lambda out: _draw(out, report, None))
    if not report.is_sound:
        also = ", and _dictionaries/ beside them" if _lacks_dictionaries(report) else ""
        raise DamagedData(
            "the copy is not sound",
            hint=f"copy these files again, whole{also}: rsync -a --checksum",
            shards=len(report.findings),
        )


def _read(
    context: Context, request: _Request, copy: Path | None = None, *, records: bool = False
) -> VerifyReport:
    """Read and compare; `records` keeps in the ledger what was found sound, and damage."""
    from des_admin.render.activity import watch_work
    from des_core.ledger.archive_identity import require_own_output
    from des_core.reading.verify import verify_shards
    from des_core.reading.verify_tasks import VerificationLog, choose_sample, list_tasks
    from des_core.storage.directory import open_storage
    from watermark_orchestrator.stopping import stop_on_signals

    packer = context.settings.packer.to_config()
    storage = open_storage(packer if copy is None else replace(packer, output_dir=str(copy)))
    config = context.config_database
    if copy is None:
        require_own_output(config, storage, may_lack_shards=True)
    is_all = request.max_age is None and request.sample is None
    found = list_tasks(storage, config, max_age=request.max_age, asks_manifests=is_all)
    tasks = choose_sample(found, request.sample)
    began = time.monotonic()
    limit_s = None if request.max_duration is None else request.max_duration.total_seconds()
    log = VerificationLog(config)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals(context.say))
        stack.callback(log.flush)
        work = stack.enter_context(watch_work(context, "verify", len(tasks), unit="shards"))

        def heard(item: ShardVerdict) -> None:
            work.advance(1, item.size_bytes)
            if records:
                log.hear(item.shard, item.verdict, item.problem, is_bad=item.is_bad)

        report = verify_shards(
            storage,
            config,
            tasks,
            on_verdict=heard,
            should_stop=lambda: (
                stop.is_set() or (limit_s is not None and time.monotonic() - began > limit_s)
            ),
            threads=request.threads,
        )
        log.flush()
        stop.check()
        if records and is_all and report.is_complete:
            log.forget_gone(storage, found)
    return report


def _may_salvage(context: Context) -> bool:
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.salvage import may_salvage

    with open_archive(context.settings, actor=context.actor) as archive:
        return may_salvage(archive)


def _confirm(context: Context, report: VerifyReport, *, yes: bool) -> None:
    if not context.wants_json and not yes:
        _draw(context.talk, report, None)
    damaged = numbered(len(report.findings), "damaged shard")
    context.prompts.confirm(f"Set aside {damaged} and pack their files again?", yes=yes)


def _repair(context: Context, findings: list[ShardVerdict]) -> RepairReport:
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.repair import repair_now
    from watermark_orchestrator.stopping import stop_on_signals

    with (
        stop_on_signals(context.say) as stop,
        open_archive(context.settings, actor=context.actor) as archive,
    ):
        return repair_now(archive, findings, stop=stop)


def _payload(report: VerifyReport, repaired: RepairReport | None) -> dict[str, object]:
    return {
        "sound": report.is_sound,
        "complete": report.is_complete,
        "shards": report.shards,
        "files": report.files,
        "size_bytes": report.size_bytes,
        "extra": report.extra,
        "findings": report.findings,
        "transient": report.transient,
        "repaired": None
        if repaired is None
        else {
            "restored": repaired.restored,
            "lost": repaired.lost,
            "set_aside": repaired.set_aside,
            "files": repaired.recorded,
            "packed": repaired.retried.packed,
            "salvaged": repaired.salvaged,
            "still_open": repaired.still_open,
        },
    }


def _draw(out: Console, report: VerifyReport, repaired: RepairReport | None) -> None:
    shown = [*report.findings, *report.transient]
    if shown:
        columns = [Column("shard", wraps=False), Column("verdict", wraps=False), Column("problem")]
        print_table(out, columns, [(f.shard, f.verdict, short_hashes(f.problem)) for f in shown])
    out.print(
        f"{numbered(report.shards, 'shard')}, {numbered(report.files, 'file')}, "
        f"{size(report.size_bytes)} read; {count(len(report.findings))} not sound; "
        f"{count(report.extra)} not in the ledger"
    )
    if not report.is_complete:
        out.print("the time was over: the next run begins with the rest")
    if repaired is not None:
        if repaired.restored:
            out.print(f"copies of dictionaries restored: {count(len(repaired.restored))}")
        out.print(
            f"set aside {count(len(repaired.set_aside))}; of {numbered(repaired.recorded, 'file')} "
            f"{count(repaired.retried.packed)} packed again from their sources, "
            f"{count(repaired.salvaged)} from the damaged shards, "
            f"{numbered(repaired.still_open, 'exception')} open"
        )


def _judge(report: VerifyReport, repaired: RepairReport | None) -> None:
    is_left = repaired is not None and (repaired.still_open or repaired.lost)
    if not is_left and (report.is_sound or repaired is not None):
        if not report.is_complete:
            raise CheckFailed(
                "the time was over before every shard was read: nothing is known of the rest",
                hint="run the same command again, which begins with the rest; or give it more time",
                shards_read=report.shards,
            )
        return
    if repaired is not None and repaired.lost and not repaired.still_open:
        raise DamagedData(
            "neither copy of a dictionary is sound; what was set aside was packed again without",
            hint="des-admin verify says what still needs it; damaged copies are kept in _damaged/. "
            "One that cannot be read stays: give this user the right to, or remove what is no file",
            dictionary=repaired.lost[0],
        )
    if repaired is not None:
        raise DamagedData(
            "some files of the damaged shards could not be had again",
            hint="des-admin exceptions list; the damaged shards are kept in _damaged/. Once a lost "
            "dictionary or big file is back, run the same command again",
            files=repaired.still_open,
        )
    hint = "des-admin verify --repair sets the damaged aside and packs their files again"
    if _lacks_dictionaries(report):
        hint = f"bring _dictionaries/ back, which belongs beside the shards. If it is lost: {hint}"
    raise DamagedData("the archive is not sound", hint=hint, shards=len(report.findings))


def _lacks_dictionaries(report: VerifyReport) -> bool:
    return any(finding.lacks_dictionary for finding in report.findings)
