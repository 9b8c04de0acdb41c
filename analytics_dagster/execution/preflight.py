"""What a build needs before dbt starts: the batches to build in, and the upstream relations that must exist."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.execution.events import BUILT, NodeResult
from analytics_dagster.project.graph import Graph
from analytics_dagster.text import indented
from analytics_dagster.warehouse import Warehouse

_WITH_RELATION = frozenset({"table", "view", "incremental", "seed", "snapshot", "function"})
"""dbt's own materializations that create a relation with the node's name. Custom ones may create none."""

_CHECKS_EXISTENCE = re.compile(r"get_relation|load_relation|load_cached_relation|depends_on")
"""Code of a model that may itself check whether a relation exists."""

# --- batches ------------------------------------------------------------------------------------------------


def build_batches(graph: Graph, build: Collection[str]) -> tuple[frozenset[str], ...]:
    """Return the nodes and tests of a build in batches, one dbt invocation each; usually there is one.

    dbt assumes that a source exists before a build starts. A source can be the relation of a node of the same project,
    for example a seed. What reads such a source is built in a later batch than that node.
    """
    if not graph.built_as:
        return (frozenset(build),)
    batch_of: dict[str, int] = {}
    # Every node follows the nodes that it reads; tests come last.
    for unique_id in sorted(
        build, key=lambda unique_id: (graph.position.get(unique_id, len(graph.position)), unique_id)
    ):
        reads = graph.reads(unique_id)
        read_as_source = {graph.built_as[source] for source in reads if source in graph.built_as}
        batch_of[unique_id] = max(
            (batch_of[read] + (read in read_as_source) for read in reads if read in batch_of), default=0
        )
    batches: dict[int, set[str]] = defaultdict(set)
    for unique_id, number in batch_of.items():
        batches[number].add(unique_id)
    return tuple(frozenset(batches[number]) for number in sorted(batches))


def blocked(graph: Graph, batch: Collection[str], results: Iterable[NodeResult]) -> frozenset[str]:
    """Return the nodes and tests of a batch that the results of earlier batches block, as in a single dbt build.

    Blocked are nodes and tests that read a node that was not built, and nodes that read a node with a failed test.
    """
    results = list(results)
    not_built = {one.unique_id for one in results if one.unique_id in graph.built and one.status not in BUILT}
    failed = {one.unique_id for one in results if one.unique_id in graph.tests and one.status in {"fail", "error"}}
    tested = {read for test in failed for read in graph.reads(test)}
    for unique_id in sorted(batch, key=lambda unique_id: graph.position.get(unique_id, len(graph.position))):
        reads = graph.reads(unique_id)
        if reads & not_built or (unique_id in graph.built and reads & tested):
            not_built.add(unique_id)
    return frozenset(not_built & set(batch))


# --- missing upstream relations -----------------------------------------------------------------------------


Exists = Callable[[Mapping[str, Any]], "bool | None"]
"""Returns whether the relation of a node (of the manifest) is in the warehouse; None if it cannot know."""

Readers = Mapping[str, Sequence[str]]
"""Upstream nodes that a build does not build, each with the nodes and tests that read it: dbt unique ids."""


def read_from_other_builds(graph: Graph, build: Collection[str], by: Collection[str] | None = None) -> Readers:
    """Return the upstream nodes of a build that it does not build itself; ``by`` limits it to those that these read."""
    readers: dict[str, list[str]] = defaultdict(list)
    for reader in sorted(build if by is None else by):
        if reader in graph.nodes:
            for parent in sorted(graph.parents(reader) - set(build)):
                readers[parent].append(reader)
    return readers


def strictly_required(graph: Graph, readers: Readers) -> Readers:
    """Return the upstream nodes with a reader whose code does not check whether they exist."""
    required = {
        parent: [name for name in names if not _CHECKS_EXISTENCE.search(str(graph.nodes[name].get("raw_code") or ""))]
        for parent, names in readers.items()
    }
    return {parent: names for parent, names in required.items() if names}


def missing_upstreams(graph: Graph, readers: Readers, exists: Exists) -> Readers:
    """Return the upstream nodes whose relation does not exist."""
    return {
        parent: names
        for parent, names in readers.items()
        if _may_be_missing(graph.nodes[parent]) and exists(graph.nodes[parent]) is False
    }


def exists_in_file(warehouse: Warehouse) -> Exists:
    """Return the check for a warehouse in a DuckDB file; it knows nothing of other databases that dbt attaches.

    DuckDB ignores the case of every name, quoted or not.
    """
    path = Path(warehouse.path)
    # Before the file exists: DuckDB names the database after the file.
    rows = warehouse.rows(_IN_FILE) if path.exists() else [(path.name.lstrip(".").split(".")[0], "", "")]
    found = {tuple(name.lower() for name in row) for row in rows}
    databases = {database for database, *_ in found}

    def exists(node: Mapping[str, Any]) -> bool | None:
        database, *others = (name.lower() for name in _relation(node))
        return (database, *others) in found if database in databases else None

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
"""The first row names the database, which may be empty."""


def exists_in_adapter(adapter: Any) -> Exists:
    """Return the check through a dbt adapter, with its rules for quotes and case; adapters list no functions."""

    def exists(node: Mapping[str, Any]) -> bool | None:
        return None if node["resource_type"] == "function" else adapter.get_relation(*_relation(node)) is not None

    return exists


def missing_upstreams_message(
    readers: Readers, keys: Mapping[str, dg.AssetKey], group_of: Mapping[str, str], group: str
) -> str:
    """Return the error for missing upstream nodes, by asset and group, with the remedy; ``group`` is being built."""
    lines = [
        f"{keys[node].to_user_string()} (group {group_of[node]}), read by {_first_of(names)}"
        for node, names in sorted(readers.items(), key=lambda item: (group_of[item[0]], keys[item[0]]))
    ]
    return (
        f"This build of the schedule group {group} reads assets that are not in the warehouse yet:{indented(lines)}\n"
        f"  -> Build the upstream groups first: `analytics-dagster build --group {group} --upstream`; "
        "or materialize these assets."
    )


def _may_be_missing(node: Mapping[str, Any]) -> bool:
    return (node["config"].get("materialized") or node["resource_type"]) in _WITH_RELATION


def _relation(node: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the database, the schema and the name of a node's relation."""
    return node.get("database") or "", node.get("schema") or "", node.get("alias") or node["name"]


def _first_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
