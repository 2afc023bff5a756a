"""Every step of a cycle fails, or the process dies there, or the power goes: nothing is lost.

A cycle here packs a new day, finds a late row, and tries an exception again. `DES_TEST_ROUNDS`
times six states are tried, spread over all; from 100 rounds on, every state is.
"""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from support.crash.faulty_disk import Fault
from support.crash.scene import CrashScene, make_scene
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

KINDS = (
    ("die_before", "nothing"),
    ("die_before", "everything"),
    ("die_before", "anything"),
    ("die_after", "nothing"),
    ("die_after", "anything"),
    ("die_after", "everything"),
    ("short", "nothing"),
    ("EIO", "nothing"),
    ("ENOSPC", "nothing"),
)
STATES_PER_ROUND = 6
WARM_UP = 10


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_nothing_is_lost_whatever_step_fails(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    scene = make_scene(database, files_table, tmp_path)
    steps = count_steps(scene)
    faults = [Fault(step, *kind) for step, kind in itertools.product(range(steps), KINDS)]  # type: ignore[arg-type]
    if rounds < 100:
        chosen = random.Random(rounds).sample(range(len(faults)), rounds * STATES_PER_ROUND)
        faults = [faults[place] for place in sorted(chosen)]
    fired: Counter[str] = Counter()
    for fault in faults:
        scene.prepare()
        machine = scene.run(fault)
        if machine.fired is not None:
            fired[f"{fault.kind}, {fault.lost} lost"] += 1
        scene.check(at_rest=False)
        scene.recover()
        scene.check(at_rest=True)
    print(f"\n{database.server}: {sum(fired.values())} crash states over {steps} steps: {fired}")
    assert sum(fired.values()) > len(faults) * 0.7


def count_steps(scene: CrashScene) -> int:
    """How many steps a cycle has at most."""
    most = 0
    for _ in range(WARM_UP):
        scene.prepare()
        most = max(most, len(scene.run(None).steps))
        scene.check(at_rest=True)
    return most
