"""Which tests hold back what reads the asset that they check, in a run of several groups.

Within one build dbt holds back by itself. Across groups Dagster does, by a blocking check; but there a step holds back
whole steps, and where these come before it all would wait for each other: Dagster then can't even load the location.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from analytics_dagster.transform.graph import Graph
from analytics_dagster.transform.plan import Plan, PlannedTest


class Blocking:
    """Tells of each test whether its check blocks: a test of severity error, unless steps would wait in a circle.

    The order is that of what the groups really read, which knows no exceptions: also what a group means to read
    as the last run left it, and what it refreshes itself.
    """

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self._plan = plan
        self._graph = graph
        self._position = {group.group.name: place for place, group in enumerate(plan.groups)}
        self._group_of_test = {test.unique_id: group.group.name for group in plan.groups for test in group.tests}

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
        """All groups that each group reads, directly or through others; itself too where it is in a circle."""
        group_of = self._plan.group_of
        direct: dict[str, set[str]] = {name: set() for name in self._position}
        for node, group in group_of.items():
            direct[group] |= {group_of[parent] for parent in self._graph.parents(node) if parent in group_of} - {group}
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


def severity(test: Mapping[str, Any]) -> str:
    """Return a test's configured severity, `error` or `warn`."""
    return str(test["config"].get("severity") or "error").lower()
