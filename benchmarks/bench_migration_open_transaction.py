"""One transaction left open on `files` for 30 s: nobody waits long, and the migration gets through.

Four clients work while `up --drop-archived` and then `down` wait for a session that has read one
row and stays idle in its transaction. Each try to lock the table ends after the lock timeout, so no
client waits longer than that; the session is named; the migration ends by itself once it is gone.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import describe_machine, print_table
from live_clients import CELL_NAMES, live_clients
from migration_scene import ARCHIVED_SHARE, DROP, Scene, arguments, open_scenes

from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import Notice

ROWS = 1_000_000
HELD_S = 30.0
ALLOWED_MS = 100.0


@contextmanager
def open_transaction(scene: Scene, name: str, seconds: float) -> Iterator[None]:
    """A session that has read `files` and is idle in its transaction for so long."""
    begun, abort = threading.Event(), threading.Event()

    def hold() -> None:
        connection = scene.server.connect(name)
        cursor = connection.cursor()
        cursor.execute("SELECT uid FROM files WHERE uid = 'file-1'")
        cursor.fetchall()
        begun.set()
        abort.wait(seconds)
        connection.rollback()
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        abort.set()
        thread.join()


def beside(
    scene: Scene, name: str, rows: int, held_s: float, what: str, work: Callable[..., object]
) -> list[str]:
    """One line: how long it took, how often it said whom it waits for, what clients felt."""
    named: list[str] = []

    def listen(notice: Notice) -> None:
        if notice.text.startswith("waiting"):
            named.append(notice.text)

    with (
        live_clients(scene.connector(name), rows) as waits,
        open_transaction(scene, name, held_s),
    ):
        began = time.perf_counter()
        work(listen)
        took = time.perf_counter() - began
    for error in waits.errors[:3]:
        print(f"{what}: a client failed: {error}")
    print(f"{what}: {named[0] if named else 'said nothing'}")
    return [what, f"{took:.1f} s", str(len(named)), *waits.cells()]


def compare(scene: Scene, rows: int, held_s: float) -> None:
    name = scene.fill(rows, int(rows * ARCHIVED_SHARE))
    settings = scene.settings(name)
    lines = [
        beside(
            scene, name, rows, held_s, "up --drop-archived",
            lambda listen: upgrade(settings, options=DROP, report=listen),
        ),
        beside(
            scene, name, rows, held_s, "down", lambda listen: downgrade(settings, report=listen)
        ),
    ]  # fmt: skip
    limit = settings.migration.lock_timeout * 1000 + ALLOWED_MS
    print_table(
        f"A transaction open for {held_s:.0f} s, {rows:,} rows, {scene.kind}",
        ["meanwhile", "took", "times it named the blocker", *CELL_NAMES],
        lines,
    )
    print(f"aim: no wait above {limit:,.0f} ms (lock_timeout + {ALLOWED_MS:.0f} ms)")


def main() -> None:
    chosen = arguments(__doc__, ROWS)
    print(describe_machine())
    with open_scenes(chosen.servers) as scenes:
        for scene in scenes:
            compare(scene, chosen.rows, HELD_S)


if __name__ == "__main__":
    main()
