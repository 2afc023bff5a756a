"""Payloads in and out of their codec, with output bounded by what the index declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import lt
from typing import Any

import zstandard

from des_core.basics.errors import DamagedShard, UsageError
from des_core.shard_io.layout import Codec

# A larger declared size is believed only as far as content really appears.
ONE_SHOT_LIMIT = 16 << 20
# Four bytes of a zstd frame can mean 128 KiB: small bites bound what one call may return.
ZSTD_BITE = 512
LZ4_OUTPUT = 1 << 20

Payload = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Compression:
    """How a writer stores payloads. `level` is zstd's, 1 to 19; unused without compression."""

    codec: Codec = Codec.ZSTD
    level: int = 3

    def __post_init__(self) -> None:
        if self.codec not in (Codec.NONE, Codec.ZSTD):
            raise UsageError("shards are written with codec zstd or none", codec=self.codec)


class PayloadEncoder:
    """Encodes payloads one after another with one compressor; not for use by two threads.

    Equal payloads and settings give equal bytes, as long as the zstd library is the same.
    """

    def __init__(self, compression: Compression) -> None:
        self._compress = None
        if compression.codec is Codec.ZSTD:
            # The level as it is for a stream. By default zstd takes other tables of that level for
            # small inputs, which here compress slower, and not better.
            parameters = zstandard.ZstdCompressionParameters.from_level(
                compression.level, write_checksum=True, write_content_size=True
            )
            self._compress = zstandard.ZstdCompressor(compression_params=parameters).compress

    def encode(self, payload: Payload, *, store_raw: bool = False) -> tuple[Codec, bytes]:
        """The codec and the bytes to store: raw where asked for, or where zstd saves nothing.

        What comes back is never a view, so that the caller may reuse the payload's buffer.
        """
        if store_raw or self._compress is None or not payload:
            return Codec.NONE, bytes(payload)
        frame = self._compress(payload)
        if len(frame) >= len(payload):
            return Codec.NONE, bytes(payload)
        return Codec.ZSTD, frame

    def encode_many(
        self, payloads: Sequence[Payload], store_raw: Sequence[bool]
    ) -> tuple[list[Codec], list[bytes]]:
        """As `encode` of each, in two columns."""
        if self._compress is not None and not any(store_raw):
            frames = list(map(self._compress, payloads))
            if all(map(lt, map(len, frames), map(len, payloads))):
                return [Codec.ZSTD] * len(frames), frames
        pairs = [self.encode(p, store_raw=raw) for p, raw in zip(payloads, store_raw, strict=True)]
        return [codec for codec, _ in pairs], [stored for _, stored in pairs]


class PayloadDecoder:
    """Decodes payloads; every fault of theirs is `DamagedShard`. Not for use by two threads."""

    def decode(self, codec: int, stored: bytes, size: int) -> bytes:
        """The content, exactly `size` bytes."""
        if codec == Codec.ZSTD and 0 < size <= ONE_SHOT_LIMIT:
            content = self._decode_zstd(stored, size)
            if content is not None:
                return content
        elif codec == Codec.NONE and len(stored) == size:
            return stored
        return b"".join(self.stream(codec, (stored,), size))

    def stream(self, codec: int, stored: Iterable[bytes], size: int) -> Iterator[bytes]:
        """The content in pieces. Only after the last one is it known to be whole."""
        total = 0
        for piece in self._pieces(codec, stored):
            total += len(piece)
            if total > size:
                raise DamagedShard("the payload is longer than the index says", size=size)
            if piece:
                yield piece
        if total != size:
            raise DamagedShard("the payload is shorter than the index says", size=size, got=total)

    def _pieces(self, codec: int, stored: Iterable[bytes]) -> Iterable[bytes]:
        if codec == Codec.NONE:
            return stored
        if codec == Codec.ZSTD:
            return _zstd_pieces(self._zstd.decompressobj(), stored)
        if codec == Codec.LZ4:
            return _lz4_pieces(_lz4_frame(), stored)
        raise DamagedShard("unknown codec", codec=codec)

    @cached_property
    def _zstd(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor()

    def _decode_zstd(self, frame: bytes, size: int) -> bytes | None:
        """None where the frame does not declare its size, so that it has to be streamed."""
        try:
            declared = zstandard.frame_content_size(frame)
            if declared == -1:
                return None
            if declared != size:
                raise DamagedShard(
                    "the zstd frame declares another size than the index",
                    declared=declared,
                    size=size,
                )
            content: bytes = self._zstd.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as exc:
            raise DamagedShard("the zstd frame is damaged", reason=exc) from exc
        return content


def _zstd_pieces(decompressor: Any, stored: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in stored:
        for at in range(0, len(chunk), ZSTD_BITE):
            if decompressor.eof:
                raise DamagedShard("there are bytes after the zstd frame")
            try:
                yield decompressor.decompress(chunk[at : at + ZSTD_BITE])
            except zstandard.ZstdError as exc:
                raise DamagedShard("the zstd frame is damaged", reason=exc) from exc
    if not decompressor.eof:
        raise DamagedShard("the zstd frame is cut")
    if decompressor.unused_data:
        raise DamagedShard("there are bytes after the zstd frame")


def _lz4_pieces(lz4_frame: Any, stored: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = lz4_frame.LZ4FrameDecompressor()
    for chunk in stored:
        if decompressor.eof and chunk:
            raise DamagedShard("there are bytes after the lz4 frame")
        pending = chunk
        while pending or not (decompressor.needs_input or decompressor.eof):
            try:
                yield decompressor.decompress(pending, max_length=LZ4_OUTPUT)
            except (RuntimeError, EOFError, ValueError) as exc:
                raise DamagedShard("the lz4 frame is damaged", reason=exc) from exc
            pending = b""
    if not decompressor.eof:
        raise DamagedShard("the lz4 frame is cut")
    if decompressor.unused_data:
        raise DamagedShard("there are bytes after the lz4 frame")


def _lz4_frame() -> Any:
    try:
        import lz4.frame
    except ImportError as exc:
        raise UsageError(
            "this shard holds lz4 payloads, and the lz4 package is not installed",
            hint="pip install 'des-admin[lz4]'",
        ) from exc
    return lz4.frame
