"""A `files` table whose locations are in a bucket, and the archive of a bucket brought to disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from des_core.settings.config import Settings
from support.objects.server import BUCKET, ObjectServer
from support.program.archive import make_archive
from support.rows.filesdata import (
    FileRow,
    FilesSpec,
    FilesTable,
    FilesTableFactory,
    content_of,
    plan_rows,
)
from support.rows.odd import CONTENT, Place
from support.servers.database import TestDatabase

SOURCE = "source"
OUTPUT = "des"


def fill_bucket(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    database: TestDatabase,
    spec: FilesSpec,
    *,
    local: Path | None = None,
) -> FilesTable:
    """Rows of `spec` with an object each; every third has a file below `local` instead, if given.

    Of the defects, `missing` and `wrong_size` mean the same as for files.
    """
    rows = [
        _place(bucket, row, spec, local if number % 3 == 2 else None)
        for number, row in enumerate(plan_rows(spec, Path("/planned")))
    ]
    return files_table(database, rows=0, extra=tuple(rows), seed=spec.seed)


def bucket_settings(
    database: TestDatabase,
    tmp_path: Path,
    endpoint: str,
    *,
    migration: dict[str, Any] | None = None,
    **packer: Any,
) -> Settings:
    """An archive whose output is in the bucket behind `endpoint`, with the watermark seeded."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    store = {"endpoint": endpoint, "timeout": 2.0, "retry_for": 30.0}
    store |= packer.pop("object_store", {})
    section = {
        "output_dir": f"s3://{BUCKET}/{OUTPUT}",
        "scratch_dir": str(scratch),
        "source_roots": ["/", f"s3://{BUCKET}"],
        "object_store": store,
        **packer,
    }
    return make_archive(database, tmp_path / "unused", packer=section, migration=migration or {})


def fetch_archive(bucket: ObjectServer, directory: Path) -> Path:
    """The archive's objects as files, for checks that read directories."""
    for key, content in bucket.objects(f"{OUTPUT}/").items():
        path = directory / key.removeprefix(f"{OUTPUT}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def odd_places(bucket: ObjectServer) -> list[Place]:
    """Objects under every sort of key, and URLs that lead to none."""
    plain = ("plain.txt", "b.jpg", "c/d")
    odd = (
        *("/slash", "double//slash", "slash/", "../up", "a/./b", "//", ".", "..", "tab\there"),
        *(
            " blank ",
            "cr\r",
            "a%20b",
            "%",
            "%zz",
            "+",
            "a?versionId=1",
            "#",
            "&=",
            "\u2028",
            "\ufeffx",
        ),
        *("zażółć/gęślą", "\U0001f4e6", "back\\slash", '{}^`|~<>"[]*', "\x01\x7f\x85", "k" * 1024),
    )
    places: list[Place] = [(bucket.put(key, CONTENT), True) for key in (*plain, *odd)]
    places += [
        (f"s3://{BUCKET}/{key}{end}", False) for key in plain for end in (" ", "\r", "/", "x")
    ]
    places += [(f"s3://{BUCKET}/{key}", False) for key in ("", "absent", "k" * 1025, "k" * 60_000)]
    places += [
        (f"s3://{name}/plain.txt", False) for name in ("absent", "Archive", "a b", "", "ż", "-")
    ]
    places += [(f"S3:/{BUCKET}/plain.txt", False), (f"az://{BUCKET}/a//b", False)]
    return places


def _place(bucket: ObjectServer, row: FileRow, spec: FilesSpec, local: Path | None) -> FileRow:
    size = row.size_bytes - 1 if row.defect == "wrong_size" else row.size_bytes
    content = content_of(row.uid, size, spec.seed)
    if local is not None:
        path = local / row.uid
        path.parent.mkdir(parents=True, exist_ok=True)
        if row.defect != "missing":
            path.write_bytes(content)
        return replace(row, location=str(path))
    key = f"{SOURCE}/{row.created_at:%Y/%m/%d}/{row.uid}"
    if row.defect != "missing":
        bucket.put(key, content)
    return replace(row, location=f"s3://{BUCKET}/{key}")
