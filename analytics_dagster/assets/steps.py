"""What Dagster's steps need to know beyond dbt's own order: which tests are steps of their own, and which hold back.

Within one build dbt orders nodes and tests, and holds back what a failed test concerns. Between the builds of several
groups in one run Dagster does; but there whole steps wait for each other, by the assets that they build. A check holds
back every step that reads its asset, and does not by itself wait for what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analytics_dagster.planning.plan import Plan, PlannedTest
from analytics_dagster.project.graph import Graph, reachable


@dataclass(frozen=True)
class Step:
    """A group's own step, which builds its nodes and runs its tests; or the one beside it, of tests that come after."""

    group: str
    is_beside: bool = False


class Steps:
    """The steps of a whole location: where each node and test is, and what waits for what.

    The order is that of what is really read, which knows no exceptions: also what a group means to read as the last
    run left it, and what it refreshes itself.
    """

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self._plan = plan
        self._graph = graph

    @cached_property
    def of_node(self) -> Mapping[str, Step]:
        """The step that builds each node."""
        return {node: Step(group) for node, group in self._plan.group_of.items()}

    @cached_property
    def of_test(self) -> Mapping[str, Step]:
        """The step that runs each data test.

        A test comes beside its group's step if, in a run that refreshes nodes, it reads what several steps build, and
        nothing of its own group's that comes after all the rest: then its group's step could run before another
        step that it needs.
        """
        own = {test.unique_id: Step(group.group.name) for group in self._plan.groups for test in group.tests}
        beside = {
            test: Step(own[test].group, is_beside=True)
            for group in self._plan.groups
            for test in (*(test.unique_id for test in group.tests), *group.refreshed_tests)
            if self._needs_several(self._graph.parents(test) & group.builds, own[test])
        }
        return {**own, **beside}

    def blocks(self, test: PlannedTest) -> bool:
        """Return whether the check of a data test blocks: if its severity is error, unless steps waited in a circle.

        Dagster could not even load a location whose steps wait for each other.
        """
        if test.node is None or severity(self._graph.nodes[test.unique_id]) != "error":
            return False
        step = self.of_test[test.unique_id]
        readers = {self.of_node[node] for node in self._graph.readers.get(test.node, ()) if node in self.of_node}
        # Where Dagster splits the steps of a circle, only a test of one node surely stays with it.
        stays = self.of_node.get(test.node) == step and test.reads == {test.node}
        return all(
            stays if self._in_circle(step, reader) else reader == step or self._rank(step) < self._rank(reader)
            for reader in readers
        )

    def _needs_several(self, read: AbstractSet[str], step: Step) -> bool:
        own = {node for node in read if self.of_node[node] == step}
        return read != own and not any(read <= self._graph.upstream(frozenset({node})) | {node} for node in own)

    def _in_circle(self, one: Step, other: Step) -> bool:
        return one in self._upstream[other] and other in self._upstream[one]

    def _rank(self, step: Step) -> tuple[int, int]:
        """Return a place in an order in which every step comes after those that it reads, unless in a circle."""
        circle = {other for other in self._upstream[step] if self._in_circle(step, other)} | {step}
        return len(self._upstream[step] | circle), min(self._position[other] for other in circle)

    @cached_property
    def _position(self) -> Mapping[Step, int]:
        steps = [Step(group.group.name, is_beside) for group in self._plan.groups for is_beside in (False, True)]
        return {step: place for place, step in enumerate(steps)}

    @cached_property
    def _upstream(self) -> Mapping[Step, AbstractSet[Step]]:
        """All steps that each one reads from, directly or through others; itself too where it is in a circle."""
        direct: dict[Step, set[Step]] = {step: set() for step in self._position}
        for reader, step in {**self.of_node, **self.of_test}.items():
            read = self._graph.parents(reader) & self.of_node.keys()
            direct[step] |= {self.of_node[node] for node in read} - {step}
        return {step: reachable(direct[step], direct) for step in direct}


def severity(test: Mapping[str, Any]) -> str:
    """Return a test's configured severity, `error` or `warn`."""
    return str(test["config"].get("severity") or "error").lower()
