"""The manifest's graph: which nodes dbt builds, which are tests, and what each of them reads."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)

BUILT = frozenset({"model", "seed", "snapshot", "function"})
"""The resource types of nodes that dbt builds in the warehouse; these nodes are assets."""

_READERS = ("unit_tests", "exposures", "metrics", "semantic_models", "saved_queries")
"""The parts of a manifest with other resources that read nodes and sources."""


class Graph:
    """The nodes of a manifest without ephemeral models: a node that reads one counts as reading the model's parents.

    A source may be the relation of a built node (a seed read as a source, a model of another package). What reads such
    a source also reads the node, although dbt's graph has no edge between the two.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._manifest = manifest
        self._reads: dict[str, frozenset[str]] = {}

    @cached_property
    def disabled(self) -> frozenset[str]:
        """The unique ids of disabled nodes."""
        # A full parse leaves disabled tests among the nodes, a partial one does not; dbt runs them in neither case.
        tests = (unique_id for unique_id, node in self._all.items() if node["config"].get("enabled") is False)
        return frozenset(tests) | frozenset(self._manifest.get("disabled") or {})

    @cached_property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """Every enabled node and function by its unique id."""
        return {unique_id: node for unique_id, node in self._all.items() if node["config"].get("enabled") is not False}

    @cached_property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """Every source by its unique id."""
        sources: Mapping[str, Mapping[str, Any]] = self._manifest["sources"]
        return sources

    @cached_property
    def unit_tests(self) -> Mapping[str, Mapping[str, Any]]:
        """Every unit test by its unique id."""
        return self._manifest.get("unit_tests") or {}

    @property
    def _all(self) -> Mapping[str, Mapping[str, Any]]:
        return {**self._manifest["nodes"], **(self._manifest.get("functions") or {})}

    @cached_property
    def built(self) -> frozenset[str]:
        """The unique ids of nodes that dbt builds in the warehouse."""
        return frozenset(
            unique_id
            for unique_id, node in self.nodes.items()
            if node["resource_type"] in BUILT and node["config"].get("materialized") != "ephemeral"
        )

    @cached_property
    def ephemeral(self) -> frozenset[str]:
        """The unique ids of ephemeral models."""
        models = {unique_id for unique_id, node in self.nodes.items() if node["resource_type"] == "model"}
        return frozenset(models - self.built)

    @cached_property
    def tests(self) -> Mapping[str, Mapping[str, Any]]:
        """Every data test by its unique id."""
        return {unique_id: node for unique_id, node in self.nodes.items() if node["resource_type"] == "test"}

    @cached_property
    def built_as(self) -> Mapping[str, str]:
        """The built node of each source that is the same relation, unless the edge would close a cycle."""
        node_of = {
            name.lower(): unique_id
            for unique_id in sorted(self.built, reverse=True)
            if (name := self.nodes[unique_id].get("relation_name"))
        }
        named = {unique_id: (source.get("relation_name") or "").lower() for unique_id, source in self.sources.items()}
        candidates = {source: node_of[name] for source, name in sorted(named.items()) if name in node_of}
        if not candidates:
            return {}
        parents = {node: set(self.declared(node)) for node in self.built}
        found = {}
        for source, node in candidates.items():
            readers = {reader for reader, read in parents.items() if source in read and reader != node}
            # A model may read what it wrote itself in an earlier run: neither dbt nor we have an edge there.
            if readers.isdisjoint(reachable({node}, parents)):
                found[source] = node
                for reader in readers:
                    parents[reader].add(node)
        return found

    def reads(self, unique_id: str) -> frozenset[str]:
        """Return the built nodes and the sources that a node or test reads, directly or through ephemeral models.

        A unit test reads its model.
        """
        if unique_id not in self._reads:
            declared = self.declared(unique_id)
            also = {self.built_as[source] for source in declared if source in self.built_as} - {unique_id}
            self._reads[unique_id] = declared | also
        return self._reads[unique_id]

    def declared(self, unique_id: str) -> frozenset[str]:
        """Return the nodes and sources that a node, test or exposure reads in dbt's graph.

        What is no table, such as an ephemeral model or a metric, is replaced by what it reads.
        """
        reached = reachable(self._parents[unique_id], self._parents_of_others)
        return frozenset(parent for parent in reached if parent in self.built or parent in self.sources)

    def parents(self, unique_id: str) -> frozenset[str]:
        """Return the built nodes that a node or test reads."""
        return self.reads(unique_id) & self.built

    def checked(self, test: str, preferred: Collection[str] = ()) -> str | None:
        """Return the node or source that a test or unit test is a check of; None if it reads nothing.

        This is the node that the test is declared at, else the last node that it reads (one of ``preferred`` if it
        reads any of these), else a source. A test that reads only sources is a check of a source, even if a node
        builds it.
        """
        declared = self.declared(test)
        reads = declared if declared <= self.sources.keys() else self.reads(test)
        attached = self.tests[test].get("attached_node") if test in self.tests else None
        if attached in reads:
            return str(attached)
        return max(reads, key=lambda node: (node in preferred, self.position.get(node, -1), node)) if reads else None

    @cached_property
    def readers(self) -> Mapping[str, frozenset[str]]:
        """The built nodes that read each built node or source."""
        found: dict[str, set[str]] = defaultdict(set)
        for node in self.built:
            for parent in self.reads(node):
                found[parent].add(node)
        return {parent: frozenset(nodes) for parent, nodes in found.items()}

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The position of each built node in an order in which every node comes after all that it reads."""
        # Sorted, so that the order is the same in every process, whatever its hash seed.
        sorter = TopologicalSorter({node: sorted(self.parents(node)) for node in sorted(self.built)})
        return {node: place for place, node in enumerate(sorter.static_order())}

    def upstream(self, nodes: frozenset[str]) -> frozenset[str]:
        """Return all built nodes upstream of the given ones, without these."""
        return frozenset(reachable(nodes, {node: self.parents(node) for node in self.built})) - nodes

    @cached_property
    def _parents(self) -> Mapping[str, Sequence[str]]:
        others = [self._manifest.get(kind) or {} for kind in _READERS]
        resources = itertools.chain(self.nodes.items(), *(kind.items() for kind in others))
        # A seed reads nothing, and its `depends_on` has no `nodes`.
        return {one: (resource.get("depends_on") or {}).get("nodes") or [] for one, resource in resources}

    @cached_property
    def _parents_of_others(self) -> Mapping[str, Sequence[str]]:
        """The parents of what is no table: ephemeral models, metrics and the like."""
        return {unique_id: parents for unique_id, parents in self._parents.items() if unique_id not in self.built}


def reachable(start: Iterable[Key], parents: Mapping[Key, Iterable[Key]]) -> set[Key]:
    """Return the keys in ``start`` and all that they read, directly or through others."""
    found = set(start)
    pending = list(found)
    while pending:
        new = set(parents.get(pending.pop(), ())) - found
        found |= new
        pending.extend(new)
    return found
