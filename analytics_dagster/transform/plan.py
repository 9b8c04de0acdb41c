"""The plan: what each schedule group would run, in which order, and what is wrong. Pure: a manifest in, a value out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.transform.groups import ScheduleGroup

BUILT = frozenset({"model", "seed", "snapshot"})
"""The resource types whose nodes dbt builds as relations, and which are assets."""


@dataclass(frozen=True)
class PlannedTest:
    """A data test: a check of one asset, run by one group.

    ``node`` is the unique id of the node or source that it is a check of; ``reads`` are all that it needs.
    """

    unique_id: str
    node: str
    reads: frozenset[str]


@dataclass(frozen=True)
class GroupPlan:
    """What a group's run executes: dbt unique ids, sorted."""

    group: ScheduleGroup
    nodes: tuple[str, ...]
    tests: tuple[PlannedTest, ...]
    unit_tests: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A node of the group ``downstream`` reads one of ``upstream``; the ids of one such pair show it."""

    upstream: str
    downstream: str
    parent: str
    child: str


@dataclass(frozen=True)
class Problem:
    """Something that keeps the plan from being run."""

    code: str
    message: str
    nodes: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        """Return it as lines for people."""
        listed = "".join(f"\n    {node}" for node in self.nodes)
        return f"{self.message}{listed}\n  -> {self.remedy}"


@dataclass(frozen=True)
class Plan:
    """Every node and test in its group; ``groups`` are in the order in which they run, upstream first."""

    groups: tuple[GroupPlan, ...]
    edges: tuple[Edge, ...]
    problems: tuple[Problem, ...]

    @cached_property
    def group_of(self) -> Mapping[str, str]:
        """The name of the group of each node."""
        return {node: plan.group.name for plan in self.groups for node in plan.nodes}

    @cached_property
    def tests(self) -> Mapping[str, PlannedTest]:
        """Every test by its unique id."""
        return {test.unique_id: test for plan in self.groups for test in plan.tests}

    def require(self) -> Plan:
        """Return the plan itself, or raise `ScheduleGroupError` with every problem and its remedy."""
        if not self.problems:
            return self
        *others, last = self.problems
        raise ScheduleGroupError("\n".join([*map(str, others), *str(last).splitlines()[:-1]]), remedy=last.remedy)


def make_plan(
    groups: Sequence[ScheduleGroup], manifest: Mapping[str, Any], selected: Mapping[Selection, frozenset[str]]
) -> Plan:
    """Put every node and every test of a manifest into one group.

    ``selected`` holds the unique ids that each group's selection names, as dbt resolved it.
    """
    graph = _Graph(manifest)
    owner, problems = _assign(groups, graph, selected)
    edges = _edges(owner, graph)
    order, cycles = _order(groups, edges)
    tests = _assign_tests(order, owner, graph)
    nodes: dict[str, list[str]] = defaultdict(list)
    for node, group in owner.items():
        nodes[group].append(node)
    unit_tests = _unit_tests(manifest, owner)
    return Plan(
        groups=tuple(
            GroupPlan(
                group=group,
                nodes=tuple(sorted(nodes[group.name])),
                tests=tuple(sorted(tests[group.name], key=lambda test: test.unique_id)),
                unit_tests=tuple(sorted(unit_tests[group.name])),
            )
            for group in order
        ),
        edges=edges,
        problems=(*problems, *cycles),
    )


def with_checked_nodes(manifest: Mapping[str, Any], plan: Plan) -> Mapping[str, Any]:
    """Return the manifest with each test depending on the one node or source that the plan makes it a check of.

    dagster-dbt takes a test that depends on one node as a check of it, and makes a bare observation of one that
    depends on several and is written beside none, or beside an ephemeral model.
    """
    nodes = dict(manifest["nodes"])
    for test in plan.tests.values():
        nodes[test.unique_id] = {**nodes[test.unique_id], "depends_on": {"nodes": [test.node], "macros": []}}
    return {**manifest, "nodes": nodes}


class _Graph:
    """The manifest's nodes, with ephemeral models looked through: they are part of what reads them."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.nodes: Mapping[str, Mapping[str, Any]] = manifest["nodes"]
        self.sources: Mapping[str, Mapping[str, Any]] = manifest["sources"]
        self._looked_through: dict[str, frozenset[str]] = {}

    @cached_property
    def built(self) -> frozenset[str]:
        """The unique ids of what dbt builds as relations."""
        return frozenset(
            unique_id
            for unique_id, node in self.nodes.items()
            if node["resource_type"] in BUILT and node["config"].get("materialized") != "ephemeral"
        )

    @cached_property
    def tests(self) -> Mapping[str, Mapping[str, Any]]:
        """Every data test by its unique id."""
        return {unique_id: node for unique_id, node in self.nodes.items() if node["resource_type"] == "test"}

    def reads(self, unique_id: str) -> frozenset[str]:
        """Return the built nodes and the sources that a node reads, directly or through ephemeral models."""
        if unique_id not in self._looked_through:
            found: set[str] = set()
            pending = self._parents(unique_id)
            seen: set[str] = set()
            while pending:
                parent = pending.pop()
                if parent in seen:
                    continue
                seen.add(parent)
                if parent in self.built or parent in self.sources:
                    found.add(parent)
                elif parent in self.nodes:
                    pending.extend(self._parents(parent))
            self._looked_through[unique_id] = frozenset(found)
        return self._looked_through[unique_id]

    def _parents(self, unique_id: str) -> list[str]:
        # A seed reads nothing, and its `depends_on` has no `nodes`.
        return list(self.nodes[unique_id]["depends_on"].get("nodes") or [])

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The place of each built node in an order in which every node comes after all that it reads."""
        # Sorted throughout: the order must be the same in every process, whatever its hash seed.
        sorter = TopologicalSorter({node: sorted(self.reads(node) & self.built) for node in sorted(self.built)})
        return {node: place for place, node in enumerate(sorter.static_order())}


def _assign(
    groups: Sequence[ScheduleGroup], graph: _Graph, selected: Mapping[Selection, frozenset[str]]
) -> tuple[dict[str, str], list[Problem]]:
    takers: dict[str, list[str]] = {node: [] for node in sorted(graph.built)}
    for group in groups:
        for node in selected[group.selection] & graph.built:
            takers[node].append(group.name)
    default = next((group.name for group in groups if group.default), None)
    owner = {node: names[0] if names else default for node, names in takers.items()}
    problems = []
    twice = tuple(f"{node} ({', '.join(names)})" for node, names in takers.items() if len(names) > 1)
    if twice:
        problems.append(
            Problem(
                code="node-in-several-groups",
                message="Nodes are selected by more than one schedule group:",
                nodes=twice,
                remedy="Leave each of them in one group: take a tag away, or narrow a group's selection.",
            )
        )
    lost = tuple(node for node, name in owner.items() if name is None)
    if lost:
        problems.append(
            Problem(
                code="node-in-no-group",
                message="Nodes are selected by no schedule group, and none is the default:",
                nodes=lost,
                remedy="Tag them so that a group selects them, or give one group `default: true`.",
            )
        )
    return {node: name for node, name in owner.items() if name is not None}, problems


def _edges(owner: Mapping[str, str], graph: _Graph) -> tuple[Edge, ...]:
    found: dict[tuple[str, str], Edge] = {}
    for child, downstream in owner.items():
        for parent in sorted(graph.reads(child) & owner.keys()):
            upstream = owner[parent]
            if upstream != downstream:
                found.setdefault((upstream, downstream), Edge(upstream, downstream, parent, child))
    return tuple(found[pair] for pair in sorted(found))


def _order(groups: Sequence[ScheduleGroup], edges: Iterable[Edge]) -> tuple[tuple[ScheduleGroup, ...], list[Problem]]:
    upstream: dict[str, set[str]] = {group.name: set() for group in groups}
    shown: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        upstream[edge.downstream].add(edge.upstream)
        shown[edge.upstream, edge.downstream] = edge
    try:
        return tuple(_upstream_first(groups, upstream)), []
    except CycleError as error:
        path: list[str] = error.args[1]
        pairs = [shown[pair] for pair in itertools.pairwise(path)]
        return tuple(groups), [
            Problem(
                code="cycle-between-groups",
                message=f"Schedule groups wait for each other: {' -> '.join(path)}:",
                nodes=tuple(
                    f"{edge.child} ({edge.downstream}) reads {edge.parent} ({edge.upstream})" for edge in pairs
                ),
                remedy="Move one of these nodes into the other's group.",
            )
        ]


def _upstream_first(groups: Sequence[ScheduleGroup], upstream: Mapping[str, set[str]]) -> Iterator[ScheduleGroup]:
    """Yield each group after those that it reads, else in the order of the file; raises `CycleError`."""
    TopologicalSorter(upstream).prepare()
    waiting, done = list(groups), set[str]()
    while waiting:
        group = next(group for group in waiting if upstream[group.name] <= done)
        waiting.remove(group)
        done.add(group.name)
        yield group


def _assign_tests(
    order: Sequence[ScheduleGroup], owner: Mapping[str, str], graph: _Graph
) -> dict[str, list[PlannedTest]]:
    place = {group.name: index for index, group in enumerate(order)}
    readers = _readers_of_sources(owner, graph)
    tests: dict[str, list[PlannedTest]] = defaultdict(list)
    for unique_id, test in graph.tests.items():
        reads = graph.reads(unique_id)
        owners = {owner[node] for node in reads if node in owner}
        if owners:
            # The group that runs last is the one whose run makes complete what the test needs.
            group = max(owners, key=place.__getitem__)
        else:
            # A test of sources alone guards those who read them: the first group that does.
            reading = {name for source in reads for name in readers[source]}
            group = min(reading, key=place.__getitem__) if reading else _fallback(order, owner if not reads else None)
        node = _checked_node(test, reads, graph) or _last_node(group, owner, graph)
        if node is not None:
            tests[group].append(PlannedTest(unique_id, node, reads))
    return tests


def _readers_of_sources(owner: Mapping[str, str], graph: _Graph) -> Mapping[str, set[str]]:
    readers: dict[str, set[str]] = defaultdict(set)
    for node, group in owner.items():
        for source in graph.reads(node) & graph.sources.keys():
            readers[source].add(group)
    return readers


def _fallback(order: Sequence[ScheduleGroup], owner: Mapping[str, str] | None) -> str:
    """Return the group of a test that no group has a claim to: the default one, else the first.

    With ``owner``, only among groups that have a node to show the test at, which reads none.
    """
    used = [group for group in order if owner is None or group.name in set(owner.values())] or order
    return next((group.name for group in used if group.default), used[0].name)


def _checked_node(test: Mapping[str, Any], reads: frozenset[str], graph: _Graph) -> str | None:
    """Return what a test is a check of: the node it is written beside, else the last that it reads."""
    beside = test.get("attached_node")
    if beside in reads:
        return str(beside)
    if not reads:
        return None
    return max(reads, key=lambda node: (graph.position.get(node, -1), node))


def _last_node(group: str, owner: Mapping[str, str], graph: _Graph) -> str | None:
    """Return the node that stands for a whole group: where a test that reads nothing is shown."""
    nodes = [node for node, name in owner.items() if name == group]
    return max(nodes, key=graph.position.__getitem__) if nodes else None


def _unit_tests(manifest: Mapping[str, Any], owner: Mapping[str, str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for unique_id, test in (manifest.get("unit_tests") or {}).items():
        for model in test["depends_on"]["nodes"]:
            if model in owner:
                found[owner[model]].append(unique_id)
                break
    return found
