"""A partitioned `files` on PostgreSQL: an index is built on one partition at a time.

1. The index of each parent, on ONLY it: empty, not valid, and inherited by partitions to come.
2. Each partition's index, concurrently, unless an equal one is there.
3. Each is attached, from the leaves up; with the last one the parent's index is valid.

What is to be done is told from the catalogue each time, so a run that was cut off goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect, TableName, quote
from des_core.database.catalog import CREATED_AT_INDEX, Catalog
from des_core.migration.base.migration import Migration
from des_core.migration.state.tables import table_values
from des_core.migration.steps.sql_file import Step, get_step

_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Partition:
    """One table of the tree; a parent holds no rows of its own. The root has no parent."""

    table: TableName
    parent: TableName | None
    is_parent: bool
    is_foreign: bool


@dataclass(frozen=True, slots=True)
class PartitionIndex:
    """One index of one table of the tree."""

    table: TableName
    name: str
    columns: tuple[str | None, ...]
    is_valid: bool
    is_plain: bool
    predicate: str | None
    attached_to: str | None


class PartitionCatalog(Catalog):
    """A catalogue with the holes of `sql/postgres/partitions/`, for one table and its index."""

    def __init__(
        self, migration: Migration, table: TableName, index: str, parent_index: str | None = None
    ) -> None:
        super().__init__(migration.source.dialect, migration.settings.database)
        schema = table.schema
        self._more = {
            "table": table.quoted(self.dialect),
            "index": quote(index, self.dialect),
            "index_path": TableName(index, schema).quoted(self.dialect),
            "parent_index_path": TableName(parent_index or index, schema).quoted(self.dialect),
        }

    @cached_property
    def names(self) -> Mapping[str, str]:
        return {**super().names, **self._more}


def find_partitions(migration: Migration) -> list[Partition]:
    """The root and everything below it, parents first; empty where `files` is one plain table."""
    return [
        Partition(
            TableName(row.table_name, row.schema_name),
            None if row.parent_name is None else TableName(row.parent_name, row.parent_schema),
            bool(row.is_parent),
            bool(row.is_foreign),
        )
        for row in _rows(migration, "migration_partitions")
    ]


def is_partitioned(migration: Migration) -> bool:
    """Whether `files` is made of partitions that must be looked after one by one."""
    return migration.source.dialect is Dialect.POSTGRES and bool(find_partitions(migration))


def index_steps(migration: Migration, index_name: str) -> list[Step]:
    """What is left to do until the partitioned table has the index; empty where it is whole.

    Refused where a partition cannot have one, or where another index has its name.
    """
    tree, indexes = find_partitions(migration), _read_indexes(migration)
    _require_local(tree)
    plan = _Builder(migration, index_name, tree, indexes)
    return [*plan.parents(), *plan.leaves(), *plan.attachments()]


def drop_steps(migration: Migration, index_name: str) -> list[Step]:
    """The whole index, from every partition at once: PostgreSQL drops none of them alone."""
    root = find_partitions(migration)[0].table
    return [_step(migration, "drop_index", root, index_name)]


class _Builder:
    """Decides, table by table, from what the catalogue says."""

    def __init__(
        self,
        migration: Migration,
        index_name: str,
        tree: list[Partition],
        indexes: list[PartitionIndex],
    ) -> None:
        self.migration, self.index_name, self.tree = migration, index_name, tree
        self.indexes = indexes
        self.kind = "created_at" if index_name == CREATED_AT_INDEX else "created_archived"
        # A partition may have an equal index under another name: then that one is attached.
        self.names = {item.table: self._name(item) for item in tree}

    def parents(self) -> Iterator[Step]:
        for item in self.tree:
            if item.is_parent and self._find(item.table) is None:
                yield self._step(f"create_parent_{self.kind}", item)

    def leaves(self) -> Iterator[Step]:
        for item in self.tree:
            if item.is_parent:
                continue
            found = self._find(item.table)
            if found is not None and found.is_valid:
                continue
            if found is not None:
                yield self._step("drop_leftover", item)
            yield self._step(f"create_partition_{self.kind}", item)

    def attachments(self) -> Iterator[Step]:
        for item in reversed(self.tree):
            if item.parent is None:
                continue
            parent_index = self.names[item.parent]
            found = self._find(item.table)
            if found is None or found.attached_to != parent_index:
                yield self._step("attach", item, parent_index)

    def _name(self, item: Partition) -> str:
        if item.parent is None:
            return self.index_name
        own = _partition_index_name(item.table.name, self.index_name)
        equal = [
            index.name
            for index in self.indexes
            if index.table == item.table and self._is_equal(index) and self._is_free(index, item)
        ]
        return own if not equal or own in equal else equal[0]

    def _is_free(self, index: PartitionIndex, item: Partition) -> bool:
        """Whether it may be attached to ours: an index belongs to one parent only."""
        if item.is_parent or not index.is_valid:
            return False
        return index.attached_to is None or index.attached_to == self._parent_name(item)

    def _parent_name(self, item: Partition) -> str | None:
        root = self.tree[0].table
        if item.parent is None or item.parent == root:
            return self.index_name
        return _partition_index_name(item.parent.name, self.index_name)

    def _find(self, table: TableName) -> PartitionIndex | None:
        name = self.names[table]
        for index in self.indexes:
            if index.table == table and index.name == name:
                if not self._is_equal(index):
                    raise Refused(
                        f"there is an index {name} already, but it does not do what is needed",
                        hint="drop or rename it, then run the same command again",
                        table=str(table),
                        columns=", ".join(column or "(expression)" for column in index.columns),
                    )
                return index
        return None

    def _is_equal(self, index: PartitionIndex) -> bool:
        settings = self.migration.settings.database
        archived = settings.archived_column or "archived"
        wanted: tuple[str, ...] = (settings.created_at_column,)
        predicate = None
        if self.kind == "created_archived":
            wanted, predicate = (*wanted, archived), f"{archived} = false"
        found = index.predicate and index.predicate.replace('"', "").strip("()")
        return index.is_plain and index.columns == wanted and found == predicate

    def _step(self, name: str, item: Partition, parent_index: str | None = None) -> Step:
        return _step(self.migration, name, item.table, self.names[item.table], parent_index)


def _step(
    migration: Migration,
    name: str,
    table: TableName,
    index: str,
    parent_index: str | None = None,
) -> Step:
    catalog = PartitionCatalog(migration, table, index, parent_index)
    return get_step(catalog, "index", name, folder="partitions")


def _partition_index_name(table: str, index: str) -> str:
    """`PARTITION_idx_files_created_at`, cut where it would be too long, and still unique."""
    name = f"{table}_{index}"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    room = _LONGEST_NAME - len(index) - len(digest) - 2
    kept = table.encode()[:room].decode(errors="ignore")
    return f"{kept}_{digest}_{index}"


def _require_local(tree: list[Partition]) -> None:
    for item in tree:
        if item.is_foreign:
            raise Refused(
                f"the partition {item.table} is a foreign table, which can have no index here",
                hint="detach it, or move its rows into a partition of this database",
            )


def _read_indexes(migration: Migration) -> list[PartitionIndex]:
    return [
        PartitionIndex(
            TableName(row.table_name, row.schema_name),
            row.name,
            tuple(row.columns),
            bool(row.is_valid),
            bool(row.is_plain),
            row.predicate,
            row.attached_to,
        )
        for row in _rows(migration, "migration_partition_indexes")
    ]


def _rows(migration: Migration, query: str) -> list[Any]:
    statement = migration.source_catalog.get(query)
    with migration.source.read() as tx:
        return list(tx.run(statement, table_values(migration)))
