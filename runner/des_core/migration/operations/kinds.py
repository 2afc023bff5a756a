"""What a revision does, one operation after the other; each says all that it may run.

A version file of Alembic holds two lists of them, up and down. The plan asks each for its
statements, execution carries it out, a script for a DBA writes it down: so the three cannot differ.

1. `when` looks at the facts: what is done already is not done again, after a crash neither.
2. Operations of one group share a transaction; the SQL file says which do (`-- group:`).
3. `makes` are the facts afterwards, which a plan and a script cannot look up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from des_core.basics.errors import DesError
from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.revisions import Branch, Direction, Revision
from des_core.migration.base.migration import Migration
from des_core.migration.base.seed_plan import Count
from des_core.migration.operations.facts import Facts
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.steps.sql_file import Step, get_step, has_step
from des_core.migration.steps.statements import run_steps

if TYPE_CHECKING:
    from des_core.migration.steps.script_writer import ScriptWriter

READS = "nothing"
ROW_LOCKS = "row locks on what it changes"
When = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an operation is: in which run, of which revision, and what is known there."""

    migration: Migration
    revision: Revision
    direction: Direction
    facts: Facts

    def database(self, branch: Branch) -> Database:
        return self.migration.database(branch)

    def catalog(self, branch: Branch) -> Catalog:
        """The statements of that database; only the source's knows the columns of `files`."""
        return self.migration.catalog(branch)

    def tell(self, step: str, text: str, *, is_detail: bool = False) -> None:
        self.migration.tell(self.revision.name, step, text, is_detail=is_detail)

    def step(self, branch: Branch, step: Step, rows: Count | None = None) -> PlannedStatement:
        """A step of an SQL file, as the plan lists it."""
        return PlannedStatement(
            revision=self.revision.name,
            step=step.name,
            database=branch,
            purpose=step.statement.purpose,
            sql=step.statement.sql,
            lock=step.lock,
            cost=step.cost,
            rows=rows,
        )

    def query(
        self, branch: Branch, name: str, lock: str = ROW_LOCKS, rows: Count | None = None
    ) -> PlannedStatement:
        """A statement of the catalogue, as the plan lists it."""
        statement = self.catalog(branch).get(name)
        return PlannedStatement(
            revision=self.revision.name,
            step=name,
            database=branch,
            purpose=statement.purpose,
            sql=statement.sql,
            lock=lock,
            cost="moments" if rows is None else "grows with the rows",
            rows=rows,
        )


def always(_facts: Facts) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Operation(ABC):
    """One thing that a revision does. `branch` None: in the database of its revision."""

    name: str
    branch: Branch | None = None
    when: When = always
    makes: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""

    def purpose(self, scene: Scene) -> str:
        """What for, in a few words."""
        return self.says

    def place(self, scene: Scene) -> Branch:
        return self.branch or scene.revision.branch

    def changes(self, scene: Scene) -> Mapping[str, Any]:
        """The facts that are different afterwards."""
        return self.makes

    def group(self, scene: Scene) -> str:
        """Operations of the same group that follow one another share a transaction."""
        return ""

    @abstractmethod
    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        """Every statement that may run; those that read no row of `files` may be left out."""

    @abstractmethod
    def run(self, scene: Scene) -> None:
        """Carry it out, in transactions of its own."""

    def apply(self, scene: Scene, tx: Transaction) -> None:
        """Carry it out in the transaction of its group."""
        raise DesError(f"{self.name} takes no part in the transaction of others")

    def write(self, scene: Scene, writer: ScriptWriter) -> Iterable[str]:
        """The same for a DBA: statements for a client. What only the program needs writes none."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Sql(Operation):
    """One step of the revision's SQL file; nothing on a dialect whose file does not have it."""

    of: str | None = None

    def purpose(self, scene: Scene) -> str:
        return "".join(step.statement.purpose for step in self._steps(scene))

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        return [scene.step(self.place(scene), step) for step in self._steps(scene)]

    def group(self, scene: Scene) -> str:
        return "".join(step.group for step in self._steps(scene))

    def run(self, scene: Scene) -> None:
        steps = self._steps(scene)
        if steps:
            run_steps(scene.migration, self.place(scene), scene.revision.name, steps)

    def apply(self, scene: Scene, tx: Transaction) -> None:
        for step in self._steps(scene):
            tx.run(step.statement)

    def write(self, scene: Scene, writer: ScriptWriter) -> Iterable[str]:
        return writer.steps(self._steps(scene))

    def _steps(self, scene: Scene) -> list[Step]:
        file_name = self.of or f"{scene.revision.name}.{scene.direction}"
        catalog = scene.catalog(self.place(scene))
        return [get_step(catalog, file_name, self.name)] if self.is_known(scene) else []

    def is_known(self, scene: Scene) -> bool:
        """Whether the file of this dialect has the step."""
        file_name = self.of or f"{scene.revision.name}.{scene.direction}"
        return has_step(scene.catalog(self.place(scene)), file_name, self.name)


@dataclass(frozen=True, kw_only=True)
class Steps(Operation):
    """Steps that are chosen by what is there, each in a transaction of its own.

    `script` chooses them for a DBA, where what is there is presumed.
    """

    choose: Callable[[Migration], list[Step]]
    script: Callable[[Scene], list[Step]]

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        return [scene.step(self.place(scene), step) for step in self.choose(scene.migration)]

    def run(self, scene: Scene) -> None:
        for step in self.choose(scene.migration):
            run_steps(scene.migration, self.place(scene), scene.revision.name, [step])
            scene.tell(step.name, step.statement.purpose, is_detail=True)

    def write(self, scene: Scene, writer: ScriptWriter) -> Iterable[str]:
        return writer.steps(self.script(scene))


@dataclass(frozen=True, kw_only=True)
class Work(Operation):
    """What takes more than a step: `act` does it, `statements` are all that it may run."""

    statements: Callable[[Scene], Iterable[PlannedStatement]]
    act: Callable[[Scene], None]
    script: Callable[[Scene, ScriptWriter], Iterable[str]] | None = None

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        return self.statements(scene)

    def run(self, scene: Scene) -> None:
        self.act(scene)

    def write(self, scene: Scene, writer: ScriptWriter) -> Iterable[str]:
        return () if self.script is None else self.script(scene, writer)


@dataclass(frozen=True, kw_only=True)
class Record(Operation):
    """What is remembered in the transaction of the group that it belongs to."""

    of_group: str
    statements: tuple[str, ...]
    note: Callable[[Scene, Transaction], None]

    def group(self, scene: Scene) -> str:
        return self.of_group

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        return [scene.query(self.place(scene), name) for name in self.statements]

    def run(self, scene: Scene) -> None:
        scene.migration.write(lambda tx: self.note(scene, tx), self.place(scene))

    def apply(self, scene: Scene, tx: Transaction) -> None:
        self.note(scene, tx)


@dataclass(frozen=True, kw_only=True)
class Check(Operation):
    """Refuses what must not go on; `reads` are its reads of `files`."""

    ask: Callable[[Scene], None]
    reads: Callable[[Scene], Iterable[str]] = lambda _scene: ()

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        return [scene.query(Branch.SOURCE, name, READS) for name in self.reads(scene)]

    def run(self, scene: Scene) -> None:
        self.ask(scene)


def named(scene: Scene, branch: Branch, names: Iterable[str]) -> Iterator[PlannedStatement]:
    """Statements of the catalogue that change few rows."""
    for name in names:
        yield scene.query(branch, name)
