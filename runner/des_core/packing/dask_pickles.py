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
from collections import deque
from collections.abc import Iterable
from typing import Any

_PLAIN = frozenset({"bytes", "bytearray", "memoryview", "str", "int", "float", "bool", "tuple"})

_PLAIN |= {"list", "dict", "set", "frozenset"}


class PickleRefused(pickle.UnpicklingError, TypeError):
    """A pickle names something that could run. A TypeError, too: Dask takes it for unreadable."""


_refused: deque[PickleRefused] = deque(maxlen=1)


class Inert:
    """Stands where the scheduler's own objects would be; remembers nothing."""

    address = "unknown"

    def __new__(cls, *_arguments: object, **_named: object) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass

    def _take(self, *_items: object) -> None:
        pass

    append = extend = add = __setitem__ = _take


def _error(kind: Any, content: Any, *_context: object) -> Exception:
    """An error as tblib, which Dask uses, packs it: without its cause and its traceback."""
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise PickleRefused("a cluster sent an error that is none")
    error = kind.__new__(kind)
    args = content.get("args", ()) if isinstance(content, dict) else content
    error.args = args if isinstance(args, tuple) else ()
    return error


def _member(kind: object, _name: object) -> Inert:
    """In place of `getattr`: Python 3.11.2, that of Debian 12, pickles a member of an enumeration
    by it, as the status of a lost worker is one."""
    if kind is not Inert:
        raise PickleRefused("a cluster sent something that could run: builtins.getattr")
    return Inert()


def _no_traceback(*_parts: object) -> None:
    return None


# Of what the scheduler says about a lost worker, nothing is wanted but that it was lost.
_INERT_MODULES = frozenset({"collections", "dask", "distributed", "tblib", "weakref"})
_STAND_INS: dict[tuple[str, str], Any] = {
    ("builtins", "getattr"): _member,
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
        if module.partition(".")[0] in _INERT_MODULES:
            return Inert
        if module == "builtins":
            found = getattr(builtins, name, None)
            if name in _PLAIN or (isinstance(found, type) and issubclass(found, Exception)):
                return found
        raise PickleRefused(f"a cluster sent something that could run: {module[:60]}.{name[:60]}")


def loads(data: Any, /, *, buffers: Iterable[Any] | None = None, **_: Any) -> Any:
    """In place of `pickle.loads`."""
    try:
        return HarmlessUnpickler(io.BytesIO(data), buffers=buffers).load()
    except PickleRefused as exc:
        _refused.append(exc)
        raise


def last_refusal() -> PickleRefused | None:
    """Dask's client hears of a message that cannot be read, and waits on for the next one."""
    return _refused[-1] if _refused else None


def refuse_foreign_pickles() -> None:
    """From now on, for all of Dask in this process. Harmless to repeat."""
    import distributed.client
    import distributed.protocol.pickle

    _refused.clear()
    guarded: Any = types.SimpleNamespace(**{**vars(pickle), "loads": loads})
    for module in (distributed.protocol.pickle, distributed.client):
        vars(module)["pickle"] = guarded
