"""A bucket for the tests of object stores."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.objects.server import ObjectServer, running_server
from support.objects.table import bucket_settings, fetch_archive, fill_bucket
from support.rows.filesdata import FilesSpec, FilesTable, FilesTableFactory
from support.servers.database import TestDatabase


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


@dataclass(frozen=True, slots=True)
class ObjectArchive:
    """An archive whose sources and output are in one bucket, with the watermark seeded."""

    database: TestDatabase
    table: FilesTable
    settings: Settings
    bucket: ObjectServer
    scratch: Path

    def check_truth(self) -> dict[str, str]:
        """As `support.crash.truth.check_truth`, on a copy of the bucket."""
        return check_truth(self.table, self.database, fetch_archive(self.bucket, self.scratch))


@pytest.fixture
def object_archive(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: Callable[[str], TestDatabase],
    tmp_path: Path,
) -> Callable[[str, FilesSpec], ObjectArchive]:
    """Makes one on a server of this kind, with these files."""

    def make(kind: str, spec: FilesSpec) -> ObjectArchive:
        database = make_database(kind)
        table = fill_bucket(bucket, files_table, database, spec)
        settings = bucket_settings(database, tmp_path, bucket.url)
        return ObjectArchive(database, table, settings, bucket, tmp_path / "fetched")

    return make
