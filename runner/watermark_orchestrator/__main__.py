"""`python -m watermark_orchestrator`: the runner, as a scheduler starts it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import des_core
from des_core.basics.durations import parse_seconds
from des_core.basics.wording import printable
from des_core.process.collector import collect_rarely


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one cycle or many; the exit code is documented in `des-admin --help`."""
    collect_rarely()
    _end_on_sigterm()
    options = _parser().parse_args(arguments)
    from des_core.basics.errors import DesError

    voice = _Voice()
    try:
        return _run(options, voice)
    except DesError as exc:
        voice.say(f"error: {printable(str(exc))}")
        if exc.hint:
            voice.say(f"hint: {printable(exc.hint)}")
        return int(exc.exit_code)
    except Exception as exc:
        if options.verbose:
            voice.say("".join(traceback.format_exception(exc)).rstrip())
        # Only the type: the text of an unexpected error may hold values, also secret ones.
        voice.say(f"error: an unexpected error inside the runner: {type(exc).__name__}")
        voice.say("hint: run it again with --verbose to see where")
        return int(DesError.exit_code)


class _Voice:
    """What the program says on stderr; as soon as it knows its secrets, without them."""

    def __init__(self) -> None:
        self._clean: Callable[[str], str] = str

    def learn(self, secrets: Iterable[str]) -> None:
        """Never say these."""
        from des_core.process.secrets import Redactor

        self._clean = Redactor(secrets).clean

    def say(self, text: str) -> None:
        line = printable(self._clean(text), keep="\n")
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the program's talk


def _end_on_sigterm() -> None:
    """Until the run has a handler of its own: the first process of a container has no default."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))


def _seconds(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m watermark_orchestrator",
        description="Pack the files between watermark and target, then move the watermark.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="configuration file (default: DES_ADMIN_CONFIG, then ./des-admin.yaml)",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="section of `profiles` to use (default: DES_ADMIN_PROFILE)",
    )
    parser.add_argument(
        "--mode",
        choices=("single", "continuous"),
        default="single",
        help="one cycle, or one every --interval (300s, 5m) until SIGTERM (default: %(default)s)",
    )
    parser.add_argument("--interval", type=_seconds, default=300.0, metavar="LENGTH")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes, instead of packer.workers"
    )
    # The old name, for one release.
    parser.add_argument("--workers", dest="jobs", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--shard-id",
        type=int,
        metavar="I",
        help="number of this sharded worker (default: database.shard_id, or JOB_COMPLETION_INDEX)",
    )
    parser.add_argument(
        "--shards-total",
        type=int,
        metavar="N",
        help="the number of sharded workers (default: database.shards_total)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "dask"),
        help="pack by processes of this machine or by a Dask cluster (default: packer.engine)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="the Dask scheduler, like tls://host:8786 (default: packer.scheduler)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan, change nothing")
    parser.add_argument("--verbose", action="store_true", help="log each slice on stderr")
    parser.add_argument("--log-file", metavar="FILE", help="the log file, instead of logging.file")
    parser.add_argument(
        "--log-format",
        choices=("text", "keyvalue", "json"),
        help="what a line of the log looks like, instead of logging.format",
    )
    parser.add_argument("--version", action="version", version=des_core.__version__)
    return parser


def _run(options: argparse.Namespace, voice: _Voice) -> int:
    from des_core.basics.errors import ExitCode
    from des_core.process.logs import open_logs
    from des_core.process.secrets import secrets_of
    from des_core.settings.found import load_found
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.cycle import plan_cycle
    from watermark_orchestrator.reporting import describe_plan, describe_report, narrator
    from watermark_orchestrator.runner import RunnerOptions, run_cycles

    given = {
        "packer.workers": options.jobs,
        "database.shard_id": options.shard_id,
        "database.shards_total": options.shards_total,
        "packer.engine": options.engine,
        "packer.scheduler": options.scheduler,
        "logging.file": options.log_file,
        "logging.format": options.log_format,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    settings = load_found(
        options.config, env=os.environ, profile=options.profile, overrides=overrides
    ).settings
    secrets = secrets_of(settings)
    voice.learn(secrets)
    if options.dry_run:
        with open_archive(settings) as archive:
            print(describe_plan(plan_cycle(archive)))  # noqa: T201 - the program's output
        return ExitCode.DONE
    run_options = RunnerOptions(options.mode == "continuous", options.interval)
    # A terminal or a pod's log hears of each slice when it asks for it; a log file always does.
    quiet = settings.logging.file is None and not options.verbose
    with open_logs(settings.logging, secrets=secrets, quiet=quiet):
        report = run_cycles(
            settings,
            run_options,
            say=voice.say,
            on_report=lambda report: voice.say(describe_report(report)),
            progress=narrator(voice.say),
        )
    if report.has_new_exceptions:
        return settings.migration.new_exceptions_exit_code
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
