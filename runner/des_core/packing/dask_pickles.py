"""Keeps Dask's client from running what a cluster sends to it.

`distributed` unpickles what schedulers and workers send: results, errors, warnings. Whoever reaches
a scheduler may send anything, and a pickle may call any function. So in the runner's process all
of its unpickling goes through an unpickler that knows a few harmless names and refuses the rest.
What we ask for needs no more: answers are bytes, see `remote_answer`.
"""

from __future__ import annotations

import builtins
import io
import pickle
import types
from collections.abc import Iterable
from typing import Any

_PLAIN = frozenset({"bytes", "bytearray", "memoryview", "str", "int", "float", "bool", "tuple"})
_PLAIN |= {"list", "dict", "set", "frozenset"}


class PickleRefused(pickle.UnpicklingError, TypeError):
    """A pickle names something that could run. A TypeError, too: Dask takes it for unreadable."""


class Inert:
    """Stands where the scheduler's own objects would be; remembers nothing."""

    address = "unknown"

    def __new__(cls, *_arguments: object, **_named: object) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


def _error(kind: Any, content: Any, *_context: object) -> Exception:
    """An error as tblib, which Dask uses, packs it: without its cause and its traceback."""
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise PickleRefused("a cluster sent an error that is none")
    error = kind.__new__(kind)
    args = content.get("args", ()) if isinstance(content, dict) else content
    error.args = args if isinstance(args, tuple) else ()
    return error


def _no_traceback(*_parts: object) -> None:
    return None


_STAND_INS: dict[tuple[str, str], Any] = {
    ("distributed.scheduler", "WorkerState"): Inert,
    ("distributed.core", "Status"): Inert,
    ("tblib", "Frame"): Inert,
    ("tblib", "Traceback"): Inert,
    ("tblib", "Code"): Inert,
    ("tblib.pickling_support", "unpickle_traceback"): _no_traceback,
    ("tblib.pickling_support", "unpickle_exception"): _error,
    ("tblib.pickling_support", "unpickle_exception_with_attrs"): _error,
}


class HarmlessUnpickler(pickle.Unpickler):
    """Makes plain values, Python's own errors and the one error of Dask that we look for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("distributed.scheduler", "KilledWorker"):
            from distributed.scheduler import KilledWorker

            return KilledWorker
        if (found := _STAND_INS.get((module, name))) is not None:
            return found
        if module == "builtins":
            found = getattr(builtins, name, None)
            if name in _PLAIN or (isinstance(found, type) and issubclass(found, Exception)):
                return found
        raise PickleRefused(f"a cluster sent something that could run: {module[:60]}.{name[:60]}")


def loads(data: Any, /, *, buffers: Iterable[Any] | None = None, **_: Any) -> Any:
    """In place of `pickle.loads`."""
    return HarmlessUnpickler(io.BytesIO(data), buffers=buffers).load()


def refuse_foreign_pickles() -> None:
    """From now on, for all of Dask in this process. Harmless to repeat."""
    import distributed.client
    import distributed.protocol.pickle

    guarded: Any = types.SimpleNamespace(**{**vars(pickle), "loads": loads})
    for module in (distributed.protocol.pickle, distributed.client):
        vars(module)["pickle"] = guarded
