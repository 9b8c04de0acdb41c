"""Makes the plan, which assigns every node and every test to one schedule group. Pure: from a manifest to a value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from analytics_dagster.planning.plan import GroupPlan, NotBuilt, Plan, PlannedTest, Problem
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.parse import Selection


def make_plan(
    groups: ScheduleGroups, manifest: Mapping[str, Any], selected: Mapping[Selection, frozenset[str]]
) -> Plan:
    """Return the plan of a manifest.

    ``selected`` has the unique ids that dbt resolved for each of ``groups.selections``.
    """
    graph = Graph(manifest)
    selecting = _selecting_groups(groups, graph, selected)
    owner, problems = _assign(groups, selecting)
    refreshes = _refreshes(groups, selecting, owner)
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
        problems=(*problems, *cycles, *_vars_problems(groups, graph, selected)),
        not_built=tuple(_not_built(manifest, graph)),
    )
    plan = replace(plan, groups=tuple(_with_refreshed_tests(group, plan) for group in plan.groups))
    return replace(plan, warnings=tuple(_warnings(plan, groups, graph, selected)))


def _selecting_groups(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Mapping[str, list[str]]:
    """Return the groups that select each node, in the order of the file."""
    selecting: dict[str, list[str]] = {node: [] for node in sorted(graph.built)}
    for group in groups.groups:
        for node in group.named(selected) & graph.built:
            selecting[node].append(group.name)
    return selecting


def _assign(groups: ScheduleGroups, selecting: Mapping[str, list[str]]) -> tuple[dict[str, str], list[Problem]]:
    """Return the group that owns each node, and the nodes in several groups or in none as problems."""
    default = next((group.name for group in groups.groups if group.default), None)
    owner = {node: names[0] if names else default for node, names in selecting.items()}
    problems = []
    in_several = tuple(f"{node} ({', '.join(names)})" for node, names in selecting.items() if len(names) > 1)
    if in_several and groups.on_overlap is OnOverlap.ERROR:
        problems.append(
            Problem(
                code="node-in-several-groups",
                message="Nodes are selected by more than one schedule group:",
                nodes=in_several,
                remedy="Select each of them in one group only (remove a tag, narrow a selection), or set in the "
                "groups' file `on_overlap: first` (only the first group builds it) or `all` (all of them refresh it).",
            )
        )
    without_group = tuple(node for node, name in owner.items() if name is None)
    if without_group:
        problems.append(
            Problem(
                code="node-in-no-group",
                message="Nodes are selected by no schedule group, and no group is the default:",
                nodes=without_group,
                remedy="Tag them so that a group selects them, or give one group `default: true`.",
            )
        )
    return {node: name for node, name in owner.items() if name is not None}, problems


def _refreshes(
    groups: ScheduleGroups, selecting: Mapping[str, list[str]], owner: Mapping[str, str]
) -> Mapping[str, set[str]]:
    """Return the nodes of other groups that each group builds too."""
    found: dict[str, set[str]] = {group.name: set() for group in groups.groups}
    if groups.on_overlap is OnOverlap.ALL:
        for node, names in selecting.items():
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
    position = {group.name: index for index, group in enumerate(order)}
    last = _last_nodes(owner, graph)
    tests: dict[str, list[PlannedTest]] = defaultdict(list)
    unit_tests: dict[str, list[str]] = defaultdict(list)
    for unique_id in (*graph.tests, *graph.unit_tests):
        reads = graph.reads(unique_id)
        owners = {owner[node] for node in reads if node in owner}
        if owners:
            # The run of the last group completes the data that the test reads.
            group = max(owners, key=position.__getitem__)
        elif reading := {owner[node] for node in _readers_of_sources(reads, graph) if node in owner}:
            # A test of sources alone protects the groups that read them: it runs in the first of these.
            group = min(reading, key=position.__getitem__)
        else:
            naming = [group.name for group in groups.groups if unique_id in group.named(selected)]
            group = naming[0] if naming else _fallback(order, last if not reads else None)
        if unique_id in graph.tests:
            own = [node for node in reads if owner.get(node) == group]
            tests[group].append(PlannedTest(unique_id, graph.checked(unique_id, own) or last.get(group), reads))
        else:
            unit_tests[group].append(unique_id)
    return tests, unit_tests


def _readers_of_sources(reads: frozenset[str], graph: Graph) -> frozenset[str]:
    return frozenset[str]().union(*(graph.readers.get(source, ()) for source in reads & graph.sources.keys()))


def _last_nodes(owner: Mapping[str, str], graph: Graph) -> Mapping[str, str]:
    """Return the last node of each group: a test that reads nothing is a check of it."""
    return {owner[node]: node for node in sorted(owner, key=graph.position.__getitem__)}


def _fallback(order: Sequence[ScheduleGroup], last: Mapping[str, str] | None) -> str:
    """Return the group of a test that belongs to no group: the default group, else the first.

    With ``last``, groups that have a node are preferred: the test reads none and needs one to be a check of.
    """
    candidates = [group for group in order if last is None or group.name in last] or order
    return next((group.name for group in candidates if group.default), candidates[0].name)


def _with_refreshed_tests(group: GroupPlan, plan: Plan) -> GroupPlan:
    """Return the group with the tests of its refreshed nodes whose data its own run completes."""
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


def _vars_problems(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    """Yield a problem for each group whose vars change nodes: a node must be the same for all groups."""
    for group in groups.groups:
        changed = sorted(selected[group.changes]) if group.changes else []
        if changed:
            yield Problem(
                code="vars-change-nodes",
                message=f"The vars of the schedule group {group.name} change which nodes the project has, what they "
                "read or where they are built:",
                nodes=tuple(
                    f"{node} is {'different or absent' if node in graph.nodes else 'present only'} with these vars"
                    for node in changed
                ),
                remedy="A node must be the same for all groups: set the var for the whole location "
                "(ANALYTICS_DBT_VARS or dbt_project.yml).",
            )


def _warnings(
    plan: Plan, groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    """Yield a warning for an empty project, for a selection that matches nothing, and for a group that runs nothing."""
    if not (graph.built or graph.tests):
        yield Problem(
            code="nothing-to-run",
            message="The dbt project has no node to build and no test to run.",
            remedy="Add one; until then the schedule groups have no jobs.",
        )
        return
    for group in groups.groups:
        selection = f"the selector {group.selector!r}" if group.selector else repr(group.select)
        is_empty = plan.by_name[group.name].is_empty
        if group.selection and not group.named(selected) & (graph.built | graph.tests.keys()):
            # The default group has nodes that no other group selects, whatever its own selection is.
            if is_empty or not group.default:
                yield Problem(
                    code="selection-matches-nothing",
                    message=f"The selection of the schedule group {group.name} matches no node: {selection}.",
                    remedy="Correct the selection, tag the intended nodes, or remove the group.",
                )
        elif is_empty:
            yield Problem(
                code="group-runs-nothing",
                message=f"Other groups run everything that the schedule group {group.name} selects: {selection}.",
                remedy="Move the group above them in the file, narrow their selections, or remove it.",
            )


def _not_built(manifest: Mapping[str, Any], graph: Graph) -> Iterator[NotBuilt]:
    """Yield the nodes of the project that no run builds."""

    def of_type(resource_type: str) -> Iterator[str]:
        return (unique_id for unique_id, node in graph.nodes.items() if node["resource_type"] == resource_type)

    found: Mapping[str, tuple[str, Iterable[str]]] = {
        "ephemeral models": ("part of the SQL of the nodes that read them", graph.ephemeral),
        "disabled nodes": ("disabled by their configuration", graph.disabled),
        **{what.replace("_", " "): (why, manifest.get(what) or ()) for what, why in _NEVER_BUILT.items()},
        "analyses": ("compiled, never run", of_type("analysis")),
        "hooks": ("run by dbt at the start and the end of each build", of_type("operation")),
    }
    for what, (why, nodes) in found.items():
        if listed := tuple(sorted(nodes)):
            yield NotBuilt(what, why, listed)


_NEVER_BUILT = {
    "sources": "loaded before dbt; external assets unless this location loads them",
    "exposures": "use what is built, outside dbt; assets without a run",
    "metrics": "definitions, computed when queried",
    "semantic_models": "definitions on top of models",
    "saved_queries": "definitions; dbt's open-source engine runs none",
}
"""The reason by the manifest's key."""
