"""`des-admin sources delete`: asks, shows, counts."""

from pathlib import Path

from cli.conftest import Archive, Program, name_roots
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle


def test_delete(archive: Archive, program: Program) -> None:
    path = archive.project / "des-admin.yaml"
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    assert "source_roots" in program("sources", "delete", expect=2).err
    path.write_text(name_roots(path, archive.table.root) + "migration:\n  grace_days: 0\n")
    waiting = {u for u in archive.table.rows if u not in archive.table.archived}
    dry = program("sources", "delete", "--dry-run", "--output", "json").json
    assert (dry["done"], dry["files"]) == (False, len(waiting))
    program("sources", "delete", expect=4)
    assert all(Path(archive.table.rows[u].location).exists() for u in waiting)
    program("sources", "delete", "--yes", "--max-duration", "soon", expect=2)
    assert "deleted" in program("sources", "delete", "--yes", "--max-duration", "3h").out
    assert not any(Path(archive.table.rows[u].location).exists() for u in waiting)
    assert archive.events()[-1][0] == "sources_deleted"
