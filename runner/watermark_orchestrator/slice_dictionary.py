"""Which dictionary the small files of a slice are compressed with.

1. A window that was packed before takes the dictionary that it had: a replay, another worker.
2. Else one is trained on files of the whole window; where it would not pay, there is none.
3. It is stored, twice and durably, before the first task is given out.
4. Exceptions and late rows take what the first slice of their day had.

A dictionary that the ledger names and the archive lacks is for `verify` to name; here it is none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from des_core.ledger.slices import dictionary_of_day, dictionary_of_window
from des_core.packing.sampling import take_sample
from des_core.packing.training import train
from des_core.shard_io import Compression
from des_core.storage.dictionaries import is_sound, store_dictionary
from watermark_orchestrator.slices import Window

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run

DictionaryOfDay = Callable[[date], str | None]


def choose_dictionaries(run: Run, kind: str, window: Window) -> DictionaryOfDay:
    """The name of the dictionary for the files of a day; all are stored when this returns."""
    config = run.archive.packer_config
    if not config.dictionary or config.codec == "none":
        return lambda _: None
    if kind == "window":
        name = _of_window(run, window)
        return lambda _: name
    known: dict[date, str | None] = {}

    def of_day(day: date) -> str | None:
        if day not in known:
            known[day] = _of_day(run, day)
        return known[day]

    return of_day


def _of_window(run: Run, window: Window) -> str | None:
    with run.archive.config.read() as tx:
        name = dictionary_of_window(tx, window.start, window.end)
    if name is not None and is_sound(run.archive.storage, name):
        return name
    config = run.archive.packer_config
    sample = take_sample(
        run.archive.source, config, (window.start, window.end), check=run.stop.check
    )
    trained = train(sample.contents, Compression(level=config.level), sample.share)
    if trained.content is None:
        return None
    run.lock.check()
    return store_dictionary(run.archive.storage, trained.content).name


def _of_day(run: Run, day: date) -> str | None:
    with run.archive.config.read() as tx:
        name = dictionary_of_day(tx, day)
    return name if name is not None and is_sound(run.archive.storage, name) else None
