"""`des-admin verify --output-dir COPY`: a copy is held against the ledger, and only read."""

import shutil

from cli.conftest import Archive, Program
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle


def test_cut_copy_is_never_taken_for_whole(sqlite_archive: Archive, program: Program) -> None:
    """What a copy lacks is its own fault: nothing of it is recorded against the original."""
    archive = sqlite_archive
    program("migrate", "up", "--yes")
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    original, copy = archive.project / "output", archive.project / "copy"
    shutil.copytree(original, copy)
    line = ("verify", "--output-dir", str(copy))
    before = archive.config.rows("SELECT * FROM des_archive_shard ORDER BY name")
    shards = program(*line, "--output", "json").json["shards"]
    assert shards == len(before) > 2
    cut, lost, *_ = sorted(copy.glob("*.des"))
    cut.write_bytes(cut.read_bytes()[:-3])
    lost.unlink()
    done = program(*line, expect=20)
    assert cut.name in done.out and lost.name in done.out and "copy is not sound" in done.err
    assert archive.config.rows("SELECT * FROM des_archive_shard ORDER BY name") == before
    assert program("verify", "--output", "json").json["sound"] is True
    assert "only read" in program(*line, "--repair", expect=2).err
    assert "no directory" in program("verify", "--output-dir", "nowhere", expect=2).err
