"""What a build reads of nodes that others build, and which of these are not in the warehouse yet."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.project.graph import Graph
from analytics_dagster.warehouse import Warehouse

_RELATIONS = frozenset({"table", "view", "incremental", "seed", "snapshot", "function"})
"""dbt's own materializations, each of which leaves something of the node's name; of another nobody knows."""

_LOOKS_FIRST = re.compile(r"get_relation|load_relation|load_cached_relation|depends_on")
"""What stands in the code of a model that may find out by itself whether what it refers to exists."""

_MOST_NAMED = 50


@dataclass(frozen=True)
class Relation:
    """The name of a table, view or function, as dbt's manifest writes it."""

    database: str
    schema: str
    name: str
    is_function: bool

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Relation:
        """Return the relation that a node builds."""
        name = node.get("alias") or node["name"]
        return cls(node.get("database") or "", node.get("schema") or "", name, node["resource_type"] == "function")


Exists = Callable[[Relation], "bool | None"]
"""Says whether a relation is in the warehouse; None of one that it knows nothing of."""

Readers = Mapping[str, Sequence[str]]
"""Nodes that a build reads and does not build, each with the nodes and tests that read it: dbt unique ids."""


def read_from_others(graph: Graph, build: Collection[str]) -> Readers:
    """Return what is read by the nodes and tests of a build and not built in it, by whom."""
    found: dict[str, list[str]] = defaultdict(list)
    for reader in sorted(build):
        if reader in graph.nodes:
            for parent in sorted(graph.parents(reader) - set(build)):
                found[parent].append(reader)
    return found


def surely_needed(graph: Graph, readers: Readers) -> Readers:
    """Return only what is read by something that can't do without: whose code does not look whether it is there."""
    found = {}
    for parent, names in readers.items():
        sure = [name for name in names if not _LOOKS_FIRST.search(str(graph.nodes[name].get("raw_code") or ""))]
        if sure:
            found[parent] = sure
    return found


def missing(graph: Graph, readers: Readers, exists: Exists) -> Readers:
    """Return those of the nodes whose relation is not there."""
    return {
        parent: names
        for parent, names in readers.items()
        if _materialized(graph.nodes[parent]) in _RELATIONS and exists(Relation.of(graph.nodes[parent])) is False
    }


def in_file(warehouse: Warehouse) -> Exists:
    """Return what is in the warehouse's DuckDB file, and nothing of other databases that dbt attaches to it.

    DuckDB folds the case of every name, quoted or not.
    """
    path = Path(warehouse.path)
    # DuckDB's own rule for the name of a file's database, for a file that is not there yet.
    rows = warehouse.rows(_IN_FILE) if path.exists() else [(path.name.lstrip(".").split(".")[0], "", "")]
    found = {tuple(name.lower() for name in row) for row in rows}
    databases = {database for database, *_ in found}

    def exists(relation: Relation) -> bool | None:
        names = relation.database.lower(), relation.schema.lower(), relation.name.lower()
        return names in found if names[0] in databases else None

    return exists


_IN_FILE = """
    select current_database(), '', ''
    union all
    select table_catalog, table_schema, table_name from information_schema.tables
    where table_catalog = current_database()
    union all
    select database_name, schema_name, function_name from duckdb_functions()
    where database_name = current_database() and not internal
"""
"""The first row is of the database itself, which may hold nothing yet."""


def in_adapter(adapter: Any) -> Exists:
    """Return what dbt's adapter finds, by its own rules for quotes and case; it lists no functions."""

    def exists(relation: Relation) -> bool | None:
        if relation.is_function:
            return None
        return adapter.get_relation(relation.database, relation.schema, relation.name) is not None

    return exists


def _materialized(node: Mapping[str, Any]) -> str:
    return str(node["config"].get("materialized") or node["resource_type"])


def describe(readers: Readers, *, keys: Mapping[str, dg.AssetKey], group_of: Mapping[str, str], group: str) -> str:
    """Return what is missing, by asset and group, and what to do about it; ``group`` is the one that is run."""
    lines = [
        f"{keys[node].to_user_string()} (group {group_of[node]}), read by {_named(names)}"
        for node, names in sorted(readers.items(), key=lambda item: (group_of[item[0]], keys[item[0]]))
    ]
    listed = "".join(f"\n    {line}" for line in _at_most(lines))
    return (
        f"This build of the schedule group {group} reads assets that are not in the warehouse yet:{listed}\n"
        f"  -> Build what comes first: `analytics-dagster build --group {group} --upstream`; "
        "or materialize these assets."
    )


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _at_most(lines: Sequence[str]) -> Iterable[str]:
    return lines if len(lines) <= _MOST_NAMED else [*lines[:_MOST_NAMED], f"and {len(lines) - _MOST_NAMED} more"]
