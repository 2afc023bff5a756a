"""Compressed streams, written and read in one pass, whichever way they were compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from des_core.basics.errors import DamagedData
from des_core.basics.regular_files import open_regular

CHUNK_BYTES = 1 << 20
# Small, because a few bytes of a compressed stream can stand for very many.
STEP_BYTES = 1 << 16


class Compression(StrEnum):
    """How a file of a backup is stored."""

    ZSTD = "zstd"
    GZIP = "gzip"


class Compressor(Protocol):
    """Takes bytes, gives what is ready; `flush` ends the stream."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


SUFFIXES = {Compression.ZSTD: ".zst", Compression.GZIP: ".gz"}


def compression_of(path: str) -> Compression | None:
    """By the name, as the tools do."""
    return next((kind for kind, suffix in SUFFIXES.items() if path.endswith(suffix)), None)


def make_compressor(kind: Compression, threads: int) -> Compressor:
    """A stream with a checksum in it; zstd in as many threads as asked for."""
    if kind is Compression.GZIP:
        return zlib.compressobj(6, zlib.DEFLATED, 31)
    import zstandard

    workers = threads if threads > 1 else 0
    compressor: Compressor = zstandard.ZstdCompressor(
        level=3, write_checksum=True, threads=workers
    ).compressobj()
    return compressor


class Decompressor:
    """Feeds on compressed chunks. DamagedData for a broken stream, and at the end for a cut one."""

    def __init__(self, kind: str | None, path: str) -> None:
        self._kind = kind
        self._path = path
        self._stream = self._new_stream()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the chunk decompresses to; several frames one after the other are one stream."""
        if self._kind is None:
            yield data
            return
        for start in range(0, len(data), STEP_BYTES):
            piece = data[start : start + STEP_BYTES]
            while piece:
                if self._stream.eof:
                    self._stream = self._new_stream()
                yield self._step(piece)
                piece = self._stream.unused_data if self._stream.eof else b""

    def finish(self) -> None:
        """Call at the end of the file."""
        if self._kind is not None and not self._stream.eof:
            raise self._damaged("it ends in the middle")

    def _step(self, data: bytes) -> bytes:
        import zstandard

        try:
            result: bytes = self._stream.decompress(data)
        except (zlib.error, zstandard.ZstdError) as exc:
            raise self._damaged(str(exc)) from exc
        return result

    def _new_stream(self) -> Any:
        if self._kind == Compression.ZSTD:
            import zstandard

            return zstandard.ZstdDecompressor().decompressobj()
        return zlib.decompressobj(31)

    def _damaged(self, why: str) -> DamagedData:
        return DamagedData(f"the compressed stream is broken: {why}", path=self._path)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The raw bytes of a file."""
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def read_decompressed(path: Path, kind: str | None) -> Iterator[bytes]:
    """The content of a file; DamagedData where its compression is broken or cut."""
    decompressor = Decompressor(kind, str(path))
    for chunk in read_chunks(path):
        yield from decompressor.feed(chunk)
    decompressor.finish()
