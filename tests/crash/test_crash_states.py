"""Every step of a cycle fails, or the process dies there, or the power goes: nothing is lost.

A cycle here packs a new day, finds a late row, and tries an exception again. `DES_TEST_ROUNDS`
times six states are tried, spread over all; from 100 rounds on, every state is.
"""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from des_core.shard_io.dictionaries import copies_of
from des_core.storage.dictionaries import list_dictionaries
from des_core.storage.directory import DirectoryStorage
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
    try_states(make_scene(database, files_table, tmp_path), rounds)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_nothing_is_lost_with_dictionaries(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    """A dictionary is durable, twice, before the first shard that needs it."""
    scene = make_scene(database, files_table, tmp_path, documents=60)
    try_states(scene, rounds)
    names = list_dictionaries(DirectoryStorage(str(scene.output)))
    assert len(names) > scene.round / 2
    for name in names:
        first, second = (scene.output / copy for copy in copies_of(name))
        assert not second.exists() or first.read_bytes() == second.read_bytes()


def try_states(scene: CrashScene, rounds: int) -> None:
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
    print(
        f"\n{scene.database.server}: {sum(fired.values())} crash states over {steps} steps: {fired}"
    )
    assert sum(fired.values()) > len(faults) * 0.7


def count_steps(scene: CrashScene) -> int:
    """How many steps a cycle has at most."""
    most = 0
    for _ in range(WARM_UP):
        scene.prepare()
        most = max(most, len(scene.run(None).steps))
        scene.check(at_rest=True)
    return most
