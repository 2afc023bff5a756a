"""The one place where an error becomes a message and an exit code."""

from __future__ import annotations

import shutil
import sys
import traceback
from collections.abc import Callable

from des_admin.render.values import foreign
from des_core.basics.errors import DesError, ExitCode, Interrupted, Terminated, UsageError

LONGEST = 4096


def report_failure(
    error: BaseException, *, as_json: bool, verbose: bool, redact: Callable[[str], str]
) -> int:
    """Print the error on stderr as text or JSON; returns the exit code."""
    known = _bounded(as_des_error(error), redact)
    if as_json:
        from des_admin.render.json import error_to_json

        text = error_to_json(known)
    else:
        text = _as_text(known, _terminal_width())
    if verbose and not isinstance(error, DesError | KeyboardInterrupt):
        text = f"{_trace(error)}\n{text}"
    sys.stderr.write(redact(text) + "\n")
    sys.stderr.flush()
    return int(known.exit_code)


def _bounded(error: DesError, redact: Callable[[str], str]) -> DesError:
    """No value is longer than anybody reads: a row may hold a megabyte. Masked before it is cut."""

    def shown(value: object) -> str:
        text = redact(str(value))
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"

    error.message = shown(error.message)
    error.facts = {name: shown(value) for name, value in error.facts.items()}
    return error


def as_des_error(error: BaseException) -> DesError:
    """The error itself, or what an error of others amounts to."""
    if isinstance(error, DesError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted: nothing more was changed")
    if isinstance(error, RecursionError | MemoryError):
        return DesError(f"ran out of resources: {type(error).__name__}", hint=_HINT)
    if isinstance(error, OSError) and error.strerror:
        where = None if error.filename is None else str(error.filename)
        return UsageError(f"the operating system refused: {error.strerror}", path=where)
    # Only the type: the text of an unexpected error may hold values, also secret ones.
    return DesError(f"an unexpected error inside des-admin: {type(error).__name__}", hint=_HINT)


_HINT = "run it again with --verbose to see where; nothing is committed that was not reported"


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stderr.isatty() else None


def _as_text(error: DesError, width: int | None) -> str:
    is_stop = isinstance(error, Interrupted | Terminated)
    lines = [("", error.message) if is_stop else ("error: ", error.message)]
    lines += [(f"  {name}: ", str(value)) for name, value in error.facts.items()]
    hint = error.hint or (_HINT if error.exit_code is ExitCode.BUG else None)
    if hint:
        lines.append(("  hint: ", hint))
    if width is None:
        return "\n".join(head + foreign(text) for head, text in lines)
    from des_admin.render.tables import hanging

    return "\n".join(line for head, text in lines for line in hanging(head, foreign(text), width))


def _trace(error: BaseException) -> str:
    """File, line and function of each frame; no values, no source lines, no message."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n".join([f"trace of {type(error).__name__}:", *lines])
