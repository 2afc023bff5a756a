"""Runs one command line: parse, invoke, and turn whatever happens into an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any, NoReturn

from des_admin.context import Session, discard
from des_admin.help_text import tidy_help
from des_admin.hoist import hoist_global_options
from des_admin.lean_help import import_help
from des_admin.spellings import respell
from des_core.basics.errors import ExitCode, Terminated, UsageError

HELP = ("-h", "--help")
COMPLETION = {"--show-completion", "--install-completion"}


def run_command_line(name: str, make_app: Callable[[], Any], arguments: Sequence[str]) -> int:
    """The exit code of `name arguments…`. Nothing escapes: no traceback, no SystemExit."""
    _make_streams_robust()
    as_json, verbose = _peek_output_mode(arguments)
    if "--no-color" in arguments:
        os.environ["NO_COLOR"] = "1"
    session = Session()
    try:
        with _sigterm_raises():
            code = _invoke(name, make_app(), arguments, session)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_broken_pipe()
    except (Exception, KeyboardInterrupt) as error:
        from des_admin.failures import report_failure

        told = session.explain(error)
        return report_failure(told, as_json=as_json, verbose=verbose, redact=session.redact)
    return code


def is_completing(name: str) -> bool:
    """Whether a shell asks what may follow in the line."""
    return bool(os.environ.get(f"_{name.replace('-', '_').upper()}_COMPLETE"))


def _invoke(name: str, app: Any, arguments: Sequence[str], session: Session) -> int:
    import typer

    command = typer.main.get_command(app)
    if is_completing(name):
        return int(command.main(list(arguments), prog_name=name, standalone_mode=False) or 0)
    # `command.main` has its own way with interrupts, broken pipes and usage errors: not used.
    if set(HELP) & set(arguments):
        import_help()
    try:
        tidy_help(command, typer.Context(command, help_option_names=list(HELP)))
        arguments = respell(arguments, _note(arguments)) if name == "des-admin" else arguments
        hoisted = hoist_global_options(command, arguments)
        with command.make_context(name, hoisted, obj=session) as context:
            command.invoke(context)
    except typer.Exit as done:
        # Completion in a shell that typer does not know, which it has said: no internal error.
        if done.exit_code == ExitCode.BUG and COMPLETION & set(arguments):
            return int(ExitCode.USAGE)
        return int(done.exit_code)
    except typer.TyperException as exc:
        if type(exc).__name__ == "NoArgsIsHelpError":  # the help has been printed
            return int(ExitCode.USAGE)
        raise _usage_error(exc) from exc
    except (typer.Abort, EOFError) as exc:
        raise KeyboardInterrupt from exc
    return int(ExitCode.DONE)


def _note(arguments: Sequence[str]) -> Callable[[str], None]:
    """Says something beside the result, unless `--quiet` forbids it."""
    is_quiet = bool({"-q", "--quiet"} & set(arguments))
    return lambda text: None if is_quiet else _write_error(f"note: {text}\n")


def _write_error(text: str) -> None:
    sys.stderr.write(text)


def _usage_error(exc: Any) -> UsageError:
    context = getattr(exc, "ctx", None)
    path = "des-admin" if context is None else context.command_path
    hint = f"see: {path} --help"
    message = " ".join(exc.format_message().split()).replace(": Value error, ", ": ")
    if (word := _word_for_help(message)) is not None:
        message = f"No such command '{word}'. Did you mean 'help'?"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=hint)


def _word_for_help(message: str) -> str | None:
    """The word that is no command, if it is nearly `help`, which the parser does not know."""
    from difflib import get_close_matches

    word = re.match(r"No such command '(.*?)'\.", message)
    return word[1] if word and get_close_matches(word[1], ["help"]) else None


def _peek_output_mode(arguments: Sequence[str]) -> tuple[bool, bool]:
    """Whether JSON and details are wanted, also where the line itself cannot be parsed."""
    words = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    as_json = "--output=json" in words or any(
        (first, second) == ("--output", "json") for first, second in pairwise(words)
    )
    return as_json, bool({"--verbose", "-v"} & set(words))


def _make_streams_robust() -> None:
    """A uid that the terminal's encoding cannot show is printed escaped, not refused."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends a command like Ctrl-C does: transactions roll back, exit code 143."""

    def on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated("terminated: nothing more was changed")

    try:
        previous = signal.signal(signal.SIGTERM, on_sigterm)
    except ValueError:  # not in the main thread: somebody else owns the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave_broken_pipe() -> int:
    """The reader went away (`| head`): not an error of ours. Python must not flush again."""
    discard(sys.stdout)
    return int(ExitCode.DONE)
