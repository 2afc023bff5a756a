"""What tests of the migrations share as fixtures."""

import pytest

from des_core.migration.flags import writing as flags


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of ten rows, however fast they are."""
    monkeypatch.setattr(flags, "FIRST_CHUNK_ROWS", 10)
    monkeypatch.setattr(flags, "_next_size", lambda size, _took_s: size)
