"""Makes the plan: every node and every test in one schedule group. Pure: a manifest in, a value out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analytics_dagster.planning.group_order import (
    edges_between,
    edges_of_refreshers,
    edges_of_tests,
    later_edges,
    ordered,
)
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.plan import GroupPlan, Plan, PlannedTest, Problem
from analytics_dagster.planning.remarks import changed_by_variables, left_out_nodes, plan_warnings
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.parse import Selection


def make_plan(
    groups: ScheduleGroups, manifest: Mapping[str, Any], selected: Mapping[Selection, frozenset[str]]
) -> Plan:
    """Put every node and every test of a manifest into one group.

    ``selected`` holds the unique ids that each of ``groups.selections`` names, as dbt resolved it.
    """
    graph = Graph(manifest)
    takers = _takers(groups, graph, selected)
    owner, problems = _assign(groups, takers)
    refreshes = _refreshes(groups, takers, owner)
    edges, refreshers = edges_between(groups, owner, refreshes, graph), edges_of_refreshers(owner, refreshes, graph)
    order, cycles = ordered(groups.groups, edges, refreshers)
    edges += later_edges(refreshers, order, edges)
    tests, unit_tests = _assign_tests(groups, order, owner, graph, selected)
    edges += later_edges(edges_of_tests(tests, owner), order, edges)
    nodes: dict[str, list[str]] = defaultdict(list)
    for node, name in owner.items():
        nodes[name].append(node)
    plan = Plan(
        groups=tuple(
            GroupPlan(
                group=group,
                nodes=tuple(sorted(nodes[group.name])),
                tests=tuple(sorted(tests[group.name], key=lambda test: test.unique_id)),
                unit_tests=tuple(sorted(unit_tests[group.name])),
                refreshes=tuple(sorted(refreshes[group.name])),
            )
            for group in order
        ),
        edges=tuple(sorted(edges, key=lambda edge: (edge.upstream, edge.downstream))),
        problems=(*problems, *cycles, *changed_by_variables(groups, graph, selected)),
        left_out=tuple(left_out_nodes(manifest, graph)),
    )
    plan = replace(plan, groups=tuple(_with_refreshed_tests(group, plan) for group in plan.groups))
    return replace(plan, warnings=tuple(plan_warnings(plan, groups, graph, selected)))


def _takers(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Mapping[str, list[str]]:
    """Return the groups that select each node, in the order of the file."""
    takers: dict[str, list[str]] = {node: [] for node in sorted(graph.built)}
    for group in groups.groups:
        for node in selected[group.selection] & graph.built:
            takers[node].append(group.name)
    return takers


def _assign(groups: ScheduleGroups, takers: Mapping[str, list[str]]) -> tuple[dict[str, str], list[Problem]]:
    default = next((group.name for group in groups.groups if group.default), None)
    owner = {node: names[0] if names else default for node, names in takers.items()}
    problems = []
    twice = tuple(f"{node} ({', '.join(names)})" for node, names in takers.items() if len(names) > 1)
    if twice and groups.on_overlap is OnOverlap.ERROR:
        problems.append(
            Problem(
                code="node-in-several-groups",
                message="Nodes are selected by more than one schedule group:",
                nodes=twice,
                remedy="Leave each of them in one group (take a tag away, narrow a selection), or say in the groups' "
                "file what is meant: `on_overlap: first` (the first group has it) or `all` (all of them refresh it).",
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


def _refreshes(
    groups: ScheduleGroups, takers: Mapping[str, list[str]], owner: Mapping[str, str]
) -> Mapping[str, set[str]]:
    """Return what each group builds of the nodes of others."""
    found: dict[str, set[str]] = {group.name: set() for group in groups.groups}
    if groups.on_overlap is OnOverlap.ALL:
        for node, names in takers.items():
            for name in names:
                if name != owner[node]:
                    found[name].add(node)
    return found


def _assign_tests(
    groups: ScheduleGroups,
    order: Sequence[ScheduleGroup],
    owner: Mapping[str, str],
    graph: Graph,
    selected: Mapping[Selection, frozenset[str]],
) -> tuple[Mapping[str, list[PlannedTest]], Mapping[str, list[str]]]:
    """Return the tests and the unit tests of each group."""
    place = {group.name: index for index, group in enumerate(order)}
    readers = _readers_of_sources(owner, graph)
    last = _last_nodes(owner, graph)
    tests: dict[str, list[PlannedTest]] = defaultdict(list)
    unit_tests: dict[str, list[str]] = defaultdict(list)
    for unique_id in (*graph.tests, *graph.unit_tests):
        reads = graph.reads(unique_id)
        owners = {owner[node] for node in reads if node in owner}
        if owners:
            # The group that runs last is the one whose run makes complete what the test needs.
            group = max(owners, key=place.__getitem__)
        elif reading := {name for source in reads for name in readers[source]}:
            # A test of sources alone guards those who read them: the first group that does.
            group = min(reading, key=place.__getitem__)
        else:
            asking = [group.name for group in groups.groups if unique_id in selected[group.selection]]
            group = asking[0] if asking else _fallback(order, last if not reads else None)
        if unique_id in graph.tests:
            own = [node for node in reads if owner.get(node) == group]
            tests[group].append(PlannedTest(unique_id, graph.checked(unique_id, own) or last.get(group), reads))
        else:
            unit_tests[group].append(unique_id)
    return tests, unit_tests


def _readers_of_sources(owner: Mapping[str, str], graph: Graph) -> Mapping[str, set[str]]:
    readers: dict[str, set[str]] = defaultdict(set)
    for node, group in owner.items():
        for source in graph.reads(node) & graph.sources.keys():
            readers[source].add(group)
    return readers


def _last_nodes(owner: Mapping[str, str], graph: Graph) -> Mapping[str, str]:
    """Return the node that stands for a whole group, its last: where a test that reads nothing is shown."""
    return {owner[node]: node for node in sorted(owner, key=graph.position.__getitem__)}


def _fallback(order: Sequence[ScheduleGroup], last: Mapping[str, str] | None) -> str:
    """Return the group of a test that no group has a claim to: the default one, else the first.

    With ``last``, rather one that has a node to show the test at, which reads none.
    """
    used = [group for group in order if last is None or group.name in last] or order
    return next((group.name for group in used if group.default), used[0].name)


def _with_refreshed_tests(group: GroupPlan, plan: Plan) -> GroupPlan:
    """Return the group with those tests of what it refreshes whose data is complete in its own run."""
    if not group.refreshes:
        return group
    complete = group.builds.union(*(plan.by_name[name].nodes for name in plan.before(group.group.name)))
    refreshed = set(group.refreshes)
    tests = [
        test.unique_id
        for other in plan.groups
        if other is not group
        for test in other.tests
        if test.reads & refreshed and all(node in complete for node in test.reads if node in plan.group_of)
    ]
    return replace(group, refreshed_tests=tuple(sorted(tests)))
