"""The rollback costs what lies above the watermark, not what is archived.

1. `down`, in one session and in two, beside the guide's rollback, on tables with the same rows:
   time, log, size afterwards.
2. `down` with twice the archived rows and the same tail: rows written and log, counted without
   the build of the index, whose reading does grow with the table.
"""

from harness import describe_machine, print_table
from migration_scene import (
    ARCHIVED_SHARE,
    DROP,
    Cost,
    Scene,
    arguments,
    metered,
    mib,
    open_scenes,
)

from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice

ROWS = 5_000_000
SESSIONS = 2
AIM_RATIO, AIM_GROWTH = 15, 0.10


def roll_back(scene: Scene, name: str, sessions: int = 1) -> tuple[Cost, Cost]:
    """`up --drop-archived`, then `down`: its whole cost, and its cost up to the index build."""
    settings = scene.settings(name)
    upgrade(settings, options=DROP)
    scene.settle(name)
    before_index = Cost()

    def listen(notice: Notice) -> None:
        if notice.done_rows is not None:
            before_index.rows = notice.done_rows
        if notice.step == "write_flags":
            before_index.log_bytes = scene.log_bytes(name) - log

    log = scene.log_bytes(name)
    with metered(scene, name) as cost:
        downgrade(settings, options=MigrationOptions(sessions=sessions), report=listen)
    return cost, before_index


def compare(scene: Scene, rows: int) -> None:
    archived = int(rows * ARCHIVED_SHARE)
    tail = rows - archived
    doubled = scene.fill(2 * archived + tail, 2 * archived)
    _whole, twice = roll_back(scene, doubled)
    scene.server.drop_database(doubled)
    ours = scene.fill(rows, archived)
    guides, shared = scene.copy(ours), scene.copy(ours)
    mine, once = roll_back(scene, ours)
    faster, _once = roll_back(scene, shared, SESSIONS)
    scene.guide_up(guides)
    scene.settle(guides)
    with metered(scene, guides) as guide:
        scene.guide_down(guides)
    lines = [
        _line("the guide's SQL", guide, scene.table_bytes(guides)),
        _line("des-admin migrate down", mine, scene.table_bytes(ours)),
        _ratio("ratio", guide, mine),
        _line(f"down --jobs {SESSIONS}", faster, scene.table_bytes(shared)),
        _ratio("ratio", guide, faster),
    ]
    print_table(
        f"Rollback, {rows:,} rows, {ARCHIVED_SHARE:.0%} archived, {scene.kind}",
        ["", "time", "log", "rows updated", "table after"],
        lines,
    )
    growth = [
        [f"{archived:,}", f"{once.rows:,}", mib(once.log_bytes)],
        [f"{2 * archived:,}", f"{twice.rows:,}", mib(twice.log_bytes)],
        ["growth", _growth(once.rows, twice.rows), _growth(once.log_bytes, twice.log_bytes)],
    ]
    print_table(
        f"`down` without its index build, {tail:,} rows above the watermark, {scene.kind}",
        ["archived rows", "rows updated", "log"],
        growth,
    )
    print(f"aims: at least {AIM_RATIO} ×, growth at most {AIM_GROWTH:.0%}")


def _ratio(what: str, guide: Cost, mine: Cost) -> list[str]:
    time, log = guide.seconds / mine.seconds, guide.log_bytes / mine.log_bytes
    return [what, f"{time:.1f} ×", f"{log:.1f} ×", "", ""]


def _line(what: str, cost: Cost, table_bytes: int) -> list[str]:
    return [what, f"{cost.seconds:.1f} s", mib(cost.log_bytes), f"{cost.rows:,}", mib(table_bytes)]


def _growth(once: float, twice: float) -> str:
    return f"{(twice - once) / once:+.1%}"


def main() -> None:
    chosen = arguments(__doc__, ROWS)
    print(describe_machine())
    with open_scenes(chosen.servers) as scenes:
        for scene in scenes:
            compare(scene, chosen.rows)


if __name__ == "__main__":
    main()
