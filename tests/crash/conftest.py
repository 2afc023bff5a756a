"""Which proofs belong to `make soak` alone: their short forms have no settled place in CI yet."""

import os

import pytest

SOAK_ONLY = {"test_kill", "test_two_writers", "test_disks", "test_database_lost"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them visibly unless `DES_TEST_ROUNDS` says how often they are to be repeated."""
    if "DES_TEST_ROUNDS" in os.environ:
        return
    skip = pytest.mark.skip(reason="long: `make soak` runs it")
    for item in items:
        if item.path.parent.name == "crash" and _belongs_to_soak(item):
            item.add_marker(skip)


def _belongs_to_soak(item: pytest.Item) -> bool:
    """The crash states take minutes on a server; in CI they run on SQLite."""
    if item.path.stem == "test_crash_states":
        return "sqlite" not in item.name
    return item.path.stem in SOAK_ONLY
