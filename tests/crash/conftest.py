"""How often the proofs repeat themselves: seconds each in CI, for hours under `make soak`."""

import os

import pytest

IN_CI = 3


@pytest.fixture(scope="session")
def rounds() -> int:
    """DES_TEST_ROUNDS, or few times: each proof takes a second or two per round and database."""
    return int(os.environ.get("DES_TEST_ROUNDS", IN_CI))
