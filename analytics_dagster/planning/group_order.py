"""The edges between schedule groups, and the order in which the groups run."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.plan import Edge, PlannedTest, Problem
from analytics_dagster.project.graph import Graph, reachable


def edges_between(
    groups: ScheduleGroups, owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph
) -> list[Edge]:
    """Return an edge for each pair of groups of which one builds a node that reads a node of the other."""
    previous = {group.name: set(group.reads_previous) for group in groups.groups}
    return _first_of_each_pair(
        Edge(owner[parent], downstream, parent, child, previous=owner[parent] in previous[downstream])
        for child, parent, downstream in _reads_of_others(owner, refreshes, graph)
    )


def edges_of_tests(tests: Mapping[str, Sequence[PlannedTest]], owner: Mapping[str, str]) -> list[Edge]:
    """Return an edge for each pair of groups that a test connects, because it reads nodes of both."""
    return _first_of_each_pair(
        Edge(owner[parent], downstream, parent, test.unique_id)
        for downstream, planned in tests.items()
        for test in planned
        for parent in sorted(test.reads & owner.keys())
        if owner[parent] != downstream
    )


def edges_of_refreshers(owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph) -> list[Edge]:
    """Return an edge for each pair of groups of which one reads a node of a third group that the other refreshes."""
    refreshed_by: dict[str, list[str]] = defaultdict(list)
    for group, nodes in refreshes.items():
        for node in nodes:
            refreshed_by[node].append(group)
    return _first_of_each_pair(
        Edge(upstream, downstream, parent, child)
        for child, parent, downstream in _reads_of_others(owner, refreshes, graph)
        for upstream in refreshed_by.get(parent, ())
    )


def _first_of_each_pair(edges: Iterable[Edge]) -> list[Edge]:
    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        found.setdefault((edge.upstream, edge.downstream), edge)
    return list(found.values())


def _reads_of_others(
    owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph
) -> Iterator[tuple[str, str, str]]:
    """Yield (child, parent, group) for each node that a group builds and each parent that it does not build."""
    built_by = [(child, group) for child, group in owner.items()]
    built_by += [(child, group) for group, nodes in refreshes.items() for child in sorted(nodes)]
    for child, group in built_by:
        for parent in sorted(graph.parents(child) & owner.keys()):
            if owner[parent] != group and parent not in refreshes[group]:
                yield child, parent, group


def later_edges(edges: Iterable[Edge], order: Sequence[ScheduleGroup], known: Iterable[Edge]) -> list[Edge]:
    """Return the edges that agree with the order of the groups and that are not known yet."""
    place = {group.name: index for index, group in enumerate(order)}
    pairs = {(edge.upstream, edge.downstream) for edge in known}
    return [
        replace(edge, previous=edge.upstream in order[place[edge.downstream]].reads_previous)
        for edge in edges
        if place[edge.upstream] < place[edge.downstream] and (edge.upstream, edge.downstream) not in pairs
    ]


def ordered(
    groups: Sequence[ScheduleGroup], edges: Sequence[Edge], refreshers: Iterable[Edge]
) -> tuple[tuple[ScheduleGroup, ...], list[Problem]]:
    """Return the groups, upstream first and otherwise in the order of the file, and each cycle as a problem.

    Groups whose previous tables are read, and groups that refresh, come first too if the other edges allow it.
    """
    upstream: dict[str, set[str]] = {group.name: set() for group in groups}
    shown = {(edge.upstream, edge.downstream): edge for edge in edges if not edge.previous}
    for one, other in shown:
        upstream[other].add(one)
    problems = []
    while path := _cycle(upstream):
        pairs = [shown[pair] for pair in itertools.pairwise(path)]
        problems.append(_cycle_problem(path, pairs))
        # Continue as if this cycle were removed, to find the next one.
        upstream[pairs[-1].downstream].remove(pairs[-1].upstream)
    place = {group.name: index for index, group in enumerate(groups)}
    for edge in sorted(
        (*(edge for edge in edges if edge.previous), *refreshers),
        key=lambda edge: (not edge.previous, place[edge.upstream] > place[edge.downstream]),
    ):
        if edge.downstream not in reachable({edge.upstream}, upstream):
            upstream[edge.downstream].add(edge.upstream)
    return tuple(_upstream_first(groups, upstream)), problems


def _cycle(upstream: Mapping[str, set[str]]) -> Sequence[str]:
    """Return a cycle of groups, each of which reads the one before it, with the first again at the end; or nothing."""
    try:
        TopologicalSorter({name: sorted(names) for name, names in upstream.items()}).prepare()
    except CycleError as error:
        path: list[str] = error.args[1]
        return path
    return ()


def _cycle_problem(path: Sequence[str], pairs: Sequence[Edge]) -> Problem:
    last = pairs[-1]
    return Problem(
        code="cycle-between-groups",
        message=f"Schedule groups wait for each other: {' -> '.join(path)}:",
        nodes=tuple(f"{edge.child} ({edge.downstream}) reads {edge.parent} ({edge.upstream})" for edge in pairs),
        remedy="Move one of these nodes into the other group; or, if a group should read what the other built in its "
        f"previous run, set `reads_previous: [{last.upstream}]` at {last.downstream}.",
    )


def _upstream_first(groups: Sequence[ScheduleGroup], upstream: Mapping[str, set[str]]) -> Iterator[ScheduleGroup]:
    """Yield each group after its upstream groups, otherwise in the order of the file."""
    waiting, done = list(groups), set[str]()
    while waiting:
        group = next(group for group in waiting if upstream[group.name] <= done)
        waiting.remove(group)
        done.add(group.name)
        yield group
