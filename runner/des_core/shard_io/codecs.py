"""Payloads in and out of their codec, with output bounded by what the index declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import lt
from typing import Any

import zstandard

from des_core.basics.errors import DamagedShard, UsageError
from des_core.shard_io.dictionaries import Dictionary, Shelf
from des_core.shard_io.layout import Codec

# A larger declared size is believed only as far as content really appears.
ONE_SHOT_LIMIT = 16 << 20
# Four bytes of a zstd frame can mean 128 KiB: small bites bound what one call may return.
ZSTD_BITE = 512
LZ4_OUTPUT = 1 << 20

# What is larger has enough in common with itself.
DICTIONARY_LIMIT = 128 << 10
# The longest header of a zstd frame.
ZSTD_HEADER = 18

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

    Equal payloads, settings and dictionary give equal bytes, as long as the zstd library is the
    same. With a dictionary, payloads up to `DICTIONARY_LIMIT` are compressed with it.
    """

    def __init__(self, compression: Compression, dictionary: Dictionary | None = None) -> None:
        self.dictionary = dictionary
        self._compress: Callable[[Payload], bytes] | None = None
        if compression.codec is not Codec.ZSTD:
            return
        # The level as it is for a stream. By default zstd takes other tables of that level for
        # small inputs, which here compress slower, and not better.
        parameters = zstandard.ZstdCompressionParameters.from_level(
            compression.level,
            write_checksum=True,
            write_content_size=True,
            write_dict_id=True,
        )
        self._compress = self._alone = zstandard.ZstdCompressor(
            compression_params=parameters
        ).compress
        if dictionary is not None:
            digested = dictionary.zstd()
            digested.precompute_compress(compression_params=parameters)
            self._with_dictionary = zstandard.ZstdCompressor(
                compression_params=parameters, dict_data=digested
            ).compress
            self._compress = self._compress_either

    def _compress_either(self, payload: Payload) -> bytes:
        if len(payload) <= DICTIONARY_LIMIT:
            return self._with_dictionary(payload)
        return self._alone(payload)

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
    """Decodes payloads; every fault of theirs is `DamagedShard`. Not for use by two threads.

    `dictionaries` are those that frames may name.
    """

    def __init__(self, dictionaries: Shelf | None = None) -> None:
        self._dictionaries = dictionaries
        self._last_id = 0
        self._last: list[zstandard.ZstdDecompressor] = []
        self.used: set[str] = set()
        """The names of the dictionaries that frames asked for so far."""

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
            return self._zstd_stream(iter(stored))
        if codec == Codec.LZ4:
            return _lz4_pieces(_lz4_frame(), stored)
        raise DamagedShard("unknown codec", codec=codec)

    @cached_property
    def _zstd(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor()

    def _decode_zstd(self, frame: bytes, size: int) -> bytes | None:
        """None where the frame does not declare its size, so that it has to be streamed."""
        try:
            header = zstandard.get_frame_parameters(frame)
            declared = header.content_size
            if declared == zstandard.CONTENTSIZE_UNKNOWN:
                return None
            if declared != size:
                raise DamagedShard(
                    "the zstd frame declares another size than the index",
                    declared=declared,
                    size=size,
                )
            if header.dict_id:
                return self._decode_with_dictionary(frame, header)
            content: bytes = self._zstd.decompress(frame, allow_extra_data=False)
        except zstandard.ZstdError as exc:
            raise DamagedShard("the zstd frame is damaged", reason=exc) from exc
        return content

    def _decode_with_dictionary(self, frame: bytes, header: Any) -> bytes:
        """By its checksum the frame tells its dictionary from another one of the same id."""
        decompressors = self._decompressors(header.dict_id)
        if len(decompressors) > 1 and not header.has_checksum:
            raise DamagedShard(
                "two dictionaries have the id that a frame without checksum names",
                dictionary=header.dict_id,
            )
        for number, decompressor in enumerate(decompressors, 1):
            try:
                content: bytes = decompressor.decompress(frame, allow_extra_data=False)
            except zstandard.ZstdError:
                if number == len(decompressors):
                    raise
            else:
                break
        return content

    def _decompressors(self, dict_id: int) -> list[zstandard.ZstdDecompressor]:
        if dict_id != self._last_id:
            if self._dictionaries is None:
                raise UsageError("nobody said where this shard's dictionaries are", id=dict_id)
            found = self._dictionaries.find(dict_id)
            self._last = [zstandard.ZstdDecompressor(dict_data=each) for _, each in found]
            self.used.update(name for name, _ in found)
            self._last_id = dict_id
        return self._last

    def _zstd_stream(self, stored: Iterator[bytes]) -> Iterator[bytes]:
        head = b""
        for chunk in stored:
            head += chunk
            if len(head) >= ZSTD_HEADER:
                break
        dict_id = _dict_id_of(head)
        decompressor = self._zstd
        if dict_id:
            candidates = self._decompressors(dict_id)
            decompressor = candidates[0]
            if len(candidates) > 1:
                yield self._decode_collected(head, stored)
                return
        yield from _zstd_pieces(decompressor.decompressobj(), chain((head,), stored))

    def _decode_collected(self, head: bytes, stored: Iterator[bytes]) -> bytes:
        """A whole frame at once, which is small: it has a dictionary."""
        frame = bytearray(head)
        for chunk in stored:
            frame += chunk
            if len(frame) > ONE_SHOT_LIMIT:
                raise DamagedShard("a frame with a dictionary is too large", bytes=len(frame))
        try:
            header = zstandard.get_frame_parameters(bytes(frame))
            if header.content_size > ONE_SHOT_LIMIT:
                raise DamagedShard("a frame with a dictionary is too large")
            return self._decode_with_dictionary(bytes(frame), header)
        except zstandard.ZstdError as exc:
            raise DamagedShard("the zstd frame is damaged", reason=exc) from exc


def _dict_id_of(head: bytes) -> int:
    """0 where there is none, or no header to be read: decoding then tells what is wrong."""
    try:
        return int(zstandard.get_frame_parameters(head).dict_id)
    except zstandard.ZstdError:
        return 0


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
