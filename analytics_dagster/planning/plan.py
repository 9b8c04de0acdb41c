"""The plan: which nodes and tests each schedule group runs, in which order, and problems. A printable value."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.project.graph import reachable


@dataclass(frozen=True)
class PlannedTest:
    """A data test: a check of one asset, run by one group.

    ``node`` is the unique id of the node or source that it is a check of; None if it reads nothing and its group has
    no nodes. ``reads`` are the nodes and sources that it needs.
    """

    unique_id: str
    node: str | None
    reads: frozenset[str]


@dataclass(frozen=True)
class GroupPlan:
    """What a group's run executes: dbt unique ids, sorted.

    ``refreshes`` are nodes of other groups that this group selects too. ``refreshed_tests`` are those tests of these
    nodes for which this group's run completes the data.
    """

    group: ScheduleGroup
    nodes: tuple[str, ...]
    tests: tuple[PlannedTest, ...]
    unit_tests: tuple[str, ...]
    refreshes: tuple[str, ...] = ()
    refreshed_tests: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return not (self.nodes or self.tests or self.refreshes)

    @cached_property
    def builds(self) -> frozenset[str]:
        """Every node that the group's run builds, including nodes of other groups."""
        return frozenset((*self.nodes, *self.refreshes))


@dataclass(frozen=True)
class Edge:
    """A run of the group ``downstream`` reads what a run of ``upstream`` builds.

    ``child``, a node or a test, and the ``parent`` that it reads are one example. An edge is ``previous`` if the group
    reads the tables of the previous run on purpose: its runs do not wait.
    """

    upstream: str
    downstream: str
    parent: str
    child: str
    previous: bool = False


@dataclass(frozen=True)
class Problem:
    """An error that prevents running the plan, or a warning."""

    code: str
    message: str
    remedy: str
    nodes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as lines of text."""
        listed = "".join(f"\n    {node}" for node in self.nodes)
        return f"{self.message}{listed}\n  -> {self.remedy}"


@dataclass(frozen=True)
class NotBuilt:
    """One kind of nodes that no run builds, and the reason."""

    what: str
    why: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Every node and test in its group; ``groups`` are in the order in which they run, upstream first."""

    groups: tuple[GroupPlan, ...]
    edges: tuple[Edge, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    not_built: tuple[NotBuilt, ...] = ()

    @cached_property
    def group_of(self) -> Mapping[str, str]:
        """The name of each node's group."""
        return {node: plan.group.name for plan in self.groups for node in plan.nodes}

    @cached_property
    def tests(self) -> Mapping[str, PlannedTest]:
        """Every test by its unique id."""
        return {test.unique_id: test for plan in self.groups for test in plan.tests}

    @cached_property
    def by_name(self) -> Mapping[str, GroupPlan]:
        """Each group's plan by the group's name."""
        return {plan.group.name: plan for plan in self.groups}

    def before(self, name: str) -> tuple[str, ...]:
        """Return the groups that a run of this group waits for if they run too, in running order.

        These are its upstream groups, direct and indirect, and earlier groups that build one of the same nodes.
        """
        found = reachable({name}, self._directly_before)
        return tuple(plan.group.name for plan in self.groups if plan.group.name in found - {name})

    @cached_property
    def _directly_before(self) -> Mapping[str, frozenset[str]]:
        before: dict[str, set[str]] = {plan.group.name: set() for plan in self.groups}
        for edge in self.edges:
            if not edge.previous:
                before[edge.downstream].add(edge.upstream)
        for earlier, later in itertools.combinations(self.groups, 2):
            if earlier.builds & later.builds and earlier.group.name not in later.group.reads_previous:
                before[later.group.name].add(earlier.group.name)
        return {name: frozenset(names) for name, names in before.items()}

    def require(self) -> Plan:
        """Return the plan, or raise `ScheduleGroupError` with every problem and its remedy."""
        if not self.problems:
            return self
        *others, last = self.problems
        raise ScheduleGroupError("\n".join([*map(str, others), *str(last).splitlines()[:-1]]), remedy=last.remedy)
