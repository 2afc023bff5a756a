"""Where the bytes of rows come from: files of this machine and objects of any store, mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from des_core.basics.object_config import is_object_url
from des_core.packer_planner import PackerConfig
from des_core.records import Reason, SourceRow
from des_core.sources.files import BigSource, Content, LocalSources
from des_core.sources.roots import SourceFailure

if TYPE_CHECKING:
    from des_core.sources.objects import ObjectSources


class MixedSources:
    """Looks at each location. The client of object stores is loaded when the first one names one.

    May be used by several threads.
    """

    def __init__(self, config: PackerConfig, check: Callable[[], None] = lambda: None) -> None:
        """`check` is called between pieces and requests, and raises to interrupt."""
        self._config = config
        self._check = check
        self._local = LocalSources(
            config.big_file_threshold, config.source_roots, own=config.own_places, check=check
        )
        self._objects: ObjectSources | None = None

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        try:
            if is_object_url(location):
                return self._object_sources().read(location, size_bytes)
            return self._local.read(location, size_bytes)
        except (ValueError, TypeError, OverflowError) as exc:
            # What a client or the kernel cannot even be asked for is this row's fault.
            text = f"the location cannot be asked for: {type(exc).__name__}"
            raise SourceFailure(Reason.BAD_LOCATION, text) from exc

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        """Of files only: objects are worth a thread each, so they are not asked for here."""
        return self._local.read_some(rows, max_bytes)

    def release(self) -> None:
        self._local.release()

    def _object_sources(self) -> ObjectSources:
        if self._objects is None:
            from des_core.sources.objects import ObjectSources

            config = self._config
            # Two threads may both make one; the later one stays, and neither holds anything.
            self._objects = ObjectSources(
                config.big_file_threshold,
                config.object_store,
                config.source_roots,
                check=self._check,
            )
        return self._objects
