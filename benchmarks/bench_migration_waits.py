"""How long live clients wait while the column goes and comes back, beside the guide's SQL.

Four clients insert, update and select all the time. In the same run, on tables with the same
rows: nothing happens (what the machine itself costs), `up --drop-archived` and `down` twice, the
second time in two sessions, then the guide's own statements there and back.
"""

import time
from collections.abc import Callable

from harness import describe_machine, print_table
from live_clients import CELL_NAMES, Waits, live_clients
from migration_scene import ARCHIVED_SHARE, DROP, Scene, arguments, open_scenes

from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions

ROWS = 5_000_000
QUIET_S = 10.0
TARGET_MS = 100.0
TOGETHER = MigrationOptions(sessions=2)


def measure(
    scene: Scene, name: str, rows: int, what: str, work: Callable[[], object]
) -> tuple[list[str], Waits]:
    """One line of the table, and the waits behind it."""
    with live_clients(scene.connector(name), rows) as waits:
        time.sleep(0.5)
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        time.sleep(0.2)
    for error in waits.errors[:3]:
        print(f"{what}: a client failed: {error}")
    slow = ", ".join(f"{kind} {seconds * 1000:.0f}" for seconds, kind in waits.slowest)
    print(f"{what}: slowest, in ms: {slow}", flush=True)
    return [what, f"{took:.1f} s", *waits.cells()], waits


def compare(scene: Scene, rows: int) -> None:
    ours = scene.fill(rows, int(rows * ARCHIVED_SHARE))
    guides = scene.copy(ours)
    settings = scene.settings(ours)
    lines, mine = [], []
    for what, work in (
        ("nothing", lambda: time.sleep(QUIET_S)),
        ("up --drop-archived", lambda: upgrade(settings, options=DROP)),
        ("down", lambda: downgrade(settings)),
        ("up --drop-archived, again", lambda: upgrade(settings, options=DROP)),
        ("down --jobs 2", lambda: downgrade(settings, options=TOGETHER)),
    ):
        line, waits = measure(scene, ours, rows, what, work)
        lines.append(line)
        mine.append(waits.longest_ms)
        scene.settle(ours)
    for what, guide in (
        ("the guide's SQL, up", scene.guide_up),
        ("the guide's SQL, rollback", scene.guide_down),
    ):
        lines.append(measure(scene, guides, rows, what, lambda do=guide: do(guides))[0])
        scene.settle(guides)
    title = f"Waits of four live clients, {rows:,} rows, {ARCHIVED_SHARE:.0%} archived"
    print_table(f"{title}, {scene.kind}", ["meanwhile", "took", *CELL_NAMES], lines)
    print(f"longest wait beside ours: {max(mine[1:]):.1f} ms (aim: {TARGET_MS:.0f} ms)")


def main() -> None:
    chosen = arguments(__doc__, ROWS)
    print(describe_machine())
    with open_scenes(chosen.servers) as scenes:
        for scene in scenes:
            compare(scene, chosen.rows)


if __name__ == "__main__":
    main()
