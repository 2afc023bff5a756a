"""`des-admin sources delete`: asks, shows, counts."""

from pathlib import Path

from cli.conftest import Archive, Program
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle


def test_delete(archive: Archive, program: Program) -> None:
    path = archive.project / "des-admin.yaml"
    text = path.read_text()
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    assert "source_roots" in program("sources", "delete", expect=2).err
    roots = f"packer:\n  source_roots: [{archive.table.root}]\n"
    path.write_text(text.replace("packer:\n", roots) + "migration:\n  grace_days: 0\n")
    waiting = {u for u in archive.table.rows if u not in archive.table.archived}
    dry = program("sources", "delete", "--dry-run", "--output", "json").json
    assert (dry["done"], dry["files"]) == (False, len(waiting))
    program("sources", "delete", expect=4)
    assert all(Path(archive.table.rows[u].location).exists() for u in waiting)
    program("sources", "delete", "--yes", "--max-duration", "soon", expect=2)
    assert "deleted" in program("sources", "delete", "--yes", "--max-duration", "3h").out
    assert not any(Path(archive.table.rows[u].location).exists() for u in waiting)
    assert archive.events()[-1][0] == "sources_deleted"
