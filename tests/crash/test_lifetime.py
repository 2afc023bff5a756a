"""Everything that can happen to an archive, in random order, against a simple model of it.

`DES_TEST_ROUNDS` lives are lived on each database; in CI few, the same ones each time.
"""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.crash.faulty_disk import Fault
from support.crash.lifetime import DAYS, MOMENTS, SIZES, Life
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive

LIVES_IN_CI = 3
STEPS = 14
SERVERS = ("sqlite", "postgres", "mariadb", "mysql")
days = st.integers(0, DAYS - 1)
moments = st.sampled_from(MOMENTS)
sizes = st.sampled_from(SIZES)
faults = st.builds(
    Fault,
    step=st.integers(0, 60),
    kind=st.sampled_from(["die_before", "die_after", "EIO", "ENOSPC", "short"]),
    lost=st.sampled_from(["nothing", "everything", "anything"]),
)
# Only a power cut loses what was not synced; an error alone does not.
faults = faults.map(
    lambda fault: fault if fault.kind.startswith("die") else Fault(fault.step, fault.kind)
)


class LifetimeMachine(RuleBasedStateMachine):
    """The rules are what may happen; the invariant is looked at after each."""

    make: Callable[[], TestDatabase]
    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.life: Life

    @initialize(kind=st.sampled_from(["day", "hour", "cycle"]), archived=st.integers(0, 4))
    def begin(self, kind: str, archived: int) -> None:
        self.life = Life(type(self).make(), type(self).root / uuid4().hex, kind)
        for number in range(6):
            moment = MOMENTS[number % len(MOMENTS)]
            self.life.insert(number // 2, moment, SIZES[1], archived=number < archived)

    def teardown(self) -> None:
        """However it went: mended, tried and packed, everything is there."""
        if not hasattr(self, "life"):
            return
        life = self.life
        if not life.has_watermark:
            life.up()
        life.mend_sources()
        life.set_target(DAYS + 1)
        for act in (life.cycle, life.reconcile, life.retry, life.cycle, life.verify):
            life.do(act)
        life.all_known()
        life.check_at_rest()
        life.database.close_connections()
        shutil.rmtree(life.root)

    @invariant()
    def nothing_is_lost(self) -> None:
        self.life.check()

    @rule(day=days, moment=moments, size=sizes)
    def insert(self, day: int, moment: timedelta, size: int) -> None:
        self.life.insert(day, moment, size)

    @rule(place=st.integers(0, 50))
    def break_a_source(self, place: int) -> None:
        self.life.break_source(sorted(self.life.rows)[place % len(self.life.rows)])

    @rule()
    def mend(self) -> None:
        self.life.mend_sources()

    @precondition(lambda self: not self.life.has_watermark)
    @rule()
    def up(self) -> None:
        self.life.up()

    @precondition(lambda self: not self.life.has_watermark)
    @rule()
    def pack_per_record(self) -> None:
        self.life.pack_per_record()

    @precondition(lambda self: self.life.has_watermark)
    @rule()
    def down(self) -> None:
        self.life.down()

    @precondition(lambda self: self.life.has_watermark)
    @rule(day=days)
    def run(self, day: int) -> None:
        self.life.set_target(day)
        self.life.do(self.life.cycle)
        self.life.all_known()

    @precondition(lambda self: self.life.has_watermark)
    @rule(day=days, moment=moments)
    def set_watermark(self, day: int, moment: timedelta) -> None:
        self.life.do(lambda archive: self._move(archive, day, moment))

    @precondition(lambda self: self.life.has_watermark)
    @rule(name=st.sampled_from(["reconcile", "retry", "delete_sources", "verify"]))
    def work(self, name: str) -> None:
        self.life.do(getattr(self.life, name))
        if name == "reconcile":
            self.life.all_known()

    @precondition(lambda self: self.life.has_watermark)
    @rule(place=st.integers(0, 5000))
    def damage(self, place: int) -> None:
        self.life.do(lambda archive: self.life.damage_and_repair(archive, place))

    @precondition(lambda self: self.life.has_watermark)
    @rule(
        name=st.sampled_from(["cycle", "cycle", "retry", "reconcile", "delete_sources", "move"]),
        fault=faults,
        day=days,
    )
    def crash(self, name: str, fault: Fault, day: int) -> None:
        life = self.life
        life.set_target(day)
        act: Callable[[Archive], Any] = getattr(life, name)
        if name == "move":
            crashed = life.crash(lambda archive: self._move(archive, day, MOMENTS[2]), fault)
        else:
            crashed = life.crash(act, fault)
        event(f"{name}: {'crashed' if crashed else 'ended before its fault'}")

    def _move(self, archive: Archive, day: int, moment: timedelta) -> None:
        self.life.move(archive, self.life.first_day + timedelta(days=day) + moment)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "server", [pytest.param(s, marks=getattr(pytest.mark, s)) for s in SERVERS]
)
def test_whatever_happens_in_whatever_order(
    make_database: Callable[[str], TestDatabase],
    server: str,
    tmp_path: Path,
    rounds: int,
    is_soak: bool,
) -> None:
    class Machine(LifetimeMachine):
        root = tmp_path

        @staticmethod
        def make() -> TestDatabase:
            return make_database(server)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=rounds if is_soak else LIVES_IN_CI,
            stateful_step_count=3 * STEPS if is_soak else STEPS,
            derandomize=not is_soak,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
