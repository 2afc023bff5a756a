"""A bucket for the tests of object stores."""

from collections.abc import Iterator

import pytest

from support.object_server import ObjectServer, running_server


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """The S3 server that the tests of this process share."""
    with running_server() as server:
        yield server


@pytest.fixture
def bucket(object_server: ObjectServer) -> ObjectServer:
    """The same with an empty bucket."""
    object_server.clear()
    return object_server
