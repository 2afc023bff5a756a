"""A coverage-guided fuzzer of the shard reader: `python fuzz_reader.py CORPUS [libFuzzer options]`.

Whatever the bytes are, opening, listing, finding, reading and verifying give a result or one of
our errors. Anything else, too much memory or too much time ends the fuzzer with a crash.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["des_core.shard_io", "des_core.basics.routing"]):
    from des_core.basics.errors import DamagedShard, StorageError, UsageError
    from des_core.shard_io import BytesBlob, ShardReader, open_shard, verify_shard

MAX_BYTES = 1 << 20
EXPECTED = (DamagedShard, StorageError, UsageError)


def read_everything(data: bytes) -> None:
    """What the product does with a shard; the order matters only for coverage."""
    with contextlib.suppress(EXPECTED):
        verify_shard(open_shard(BytesBlob(data)))
    try:
        reader = open_shard(BytesBlob(data))
    except EXPECTED:
        return
    _list_and_find(reader)


def _list_and_find(reader: ShardReader) -> None:
    try:
        reader.find_many(["invoice-0001", "12345", "u", "\0"])
        for number, entry in enumerate(reader.entries()):
            if number > 100:
                break
            _read(reader, entry)
    except EXPECTED:
        pass


def _read(reader: ShardReader, entry: object) -> None:
    try:
        reader.read(entry, max_bytes=MAX_BYTES)  # type: ignore[arg-type]
        for _ in reader.stream(entry):  # type: ignore[arg-type]
            pass
    except EXPECTED:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_everything)
    atheris.Fuzz()
