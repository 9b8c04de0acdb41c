"""What Dagster's steps need to know beyond dbt's own order: which tests hold back others, and which come by themselves.

Within one build dbt orders nodes and tests, and holds back what a failed test concerns. Between the builds of several
groups in one run Dagster does; but there whole steps wait for each other, by the assets that they build. A check holds
back every step that reads its asset, and does not by itself wait for what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

from analytics_dagster.transform.graph import Graph
from analytics_dagster.transform.plan import Plan, PlannedTest


def tests_apart(plan: Plan, graph: Graph) -> frozenset[str]:
    """Return the tests that have to be a step of their own, after all that they read.

    Such a test reads, in a run that refreshes nodes, what more than one step builds there, and nothing of its own
    group's that comes after all the rest: its group's step could run before another step that it needs.
    """
    group_of_test = _groups_of_tests(plan)
    found = set()
    for group in plan.groups:
        for test in (*(test.unique_id for test in group.tests), *group.refreshed_tests):
            read = graph.parents(test) & group.builds
            own = {node for node in read if plan.group_of[node] == group_of_test[test]}
            if _needs_several_steps(read, own, graph):
                found.add(test)
    return frozenset(found)


def _needs_several_steps(read: AbstractSet[str], own: AbstractSet[str], graph: Graph) -> bool:
    return read != own and not any(read <= graph.upstream(frozenset({node})) | {node} for node in own)


class Blocking:
    """Tells of each test whether its check blocks: a test of severity error, unless steps would wait in a circle.

    The order is that of what the groups really read, which knows no exceptions: also what a group means to read
    as the last run left it, and what it refreshes itself.
    """

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self._plan = plan
        self._graph = graph
        self._position = {group.group.name: place for place, group in enumerate(plan.groups)}
        self._group_of_test = _groups_of_tests(plan)

    def blocks(self, test: PlannedTest) -> bool:
        """Return whether the check of a data test blocks."""
        if test.node is None or severity(self._graph.nodes[test.unique_id]) != "error":
            return False
        group = self._group_of_test[test.unique_id]
        own = self._plan.group_of.get(test.node) == group
        return all(
            self._is_alone(test) and own if self._in_circle(group, reader) else self._rank(group) < self._rank(reader)
            for reader in self._readers(test.node) - {group}
        )

    def _is_alone(self, test: PlannedTest) -> bool:
        # Where Dagster splits the steps of a circle, only such a test surely stays with the node that it checks.
        return test.reads == {test.node}

    def _readers(self, node: str) -> set[str]:
        group_of = self._plan.group_of
        return {group_of[reader] for reader in self._graph.readers.get(node, ()) if reader in group_of}

    def _in_circle(self, one: str, other: str) -> bool:
        return one in self._upstream[other] and other in self._upstream[one]

    def _rank(self, group: str) -> tuple[int, int]:
        """Return a place in an order in which every group comes after those that it reads, unless in a circle."""
        circle = {other for other in self._upstream[group] if self._in_circle(group, other)} | {group}
        return len(self._upstream[group] | circle), min(self._position[name] for name in circle)

    @cached_property
    def _upstream(self) -> Mapping[str, set[str]]:
        """All groups that each group's nodes and tests read, directly or through others; itself too in a circle."""
        group_of = self._plan.group_of
        direct: dict[str, set[str]] = {name: set() for name in self._position}
        for reader, group in {**group_of, **self._group_of_test}.items():
            direct[group] |= {group_of[read] for read in self._graph.parents(reader) if read in group_of} - {group}
        found = {}
        for name, upstream in direct.items():
            seen, pending = set[str](), list(upstream)
            while pending:
                other = pending.pop()
                if other not in seen:
                    seen.add(other)
                    pending.extend(direct[other])
            found[name] = seen
        return found


def _groups_of_tests(plan: Plan) -> Mapping[str, str]:
    return {test.unique_id: group.group.name for group in plan.groups for test in group.tests}


def severity(test: Mapping[str, Any]) -> str:
    """Return a test's configured severity, `error` or `warn`."""
    return str(test["config"].get("severity") or "error").lower()
