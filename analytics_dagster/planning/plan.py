"""The plan, as a value: what each schedule group would run, in which order, and what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import ScheduleGroup


@dataclass(frozen=True)
class PlannedTest:
    """A data test: a check of one asset, run by one group.

    ``node`` is the unique id of the node or source that it is a check of, or None where it reads nothing and its
    group has no node to show it at; ``reads`` are all that it needs.
    """

    unique_id: str
    node: str | None
    reads: frozenset[str]


@dataclass(frozen=True)
class GroupPlan:
    """What a group's run executes: dbt unique ids, sorted.

    ``refreshes`` are nodes of other groups that this one selects too, and ``refreshed_tests`` those of their tests
    whose data this group's run makes complete.
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
        """Every node that the group's run builds, its own and others'."""
        return frozenset((*self.nodes, *self.refreshes))


@dataclass(frozen=True)
class Edge:
    """A run of the group ``downstream`` reads what one of ``upstream`` builds; the ids of one such pair show it.

    The ``child`` is a node or a test. ``previous`` edges are those that a group means to read as the last run left
    them: nobody waits for these.
    """

    upstream: str
    downstream: str
    parent: str
    child: str
    previous: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that keeps the plan from being run, or that is worth a look."""

    code: str
    message: str
    nodes: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        """Return it as lines for people."""
        listed = "".join(f"\n    {node}" for node in self.nodes)
        return f"{self.message}{listed}\n  -> {self.remedy}"


@dataclass(frozen=True)
class LeftOut:
    """Nodes of the project that no run builds by themselves, and why."""

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
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def group_of(self) -> Mapping[str, str]:
        """The name of the group of each node."""
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
        """Return the groups that a run of this one waits for when they run too, in the order in which they run.

        These are the groups that it reads, those that they read, and of the groups that build a node which it builds
        too, those that come before it.
        """
        found, pending = {name}, [name]
        while pending:
            new = self._directly_before[pending.pop()] - found
            found |= new
            pending.extend(new)
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
        """Return the plan itself, or raise `ScheduleGroupError` with every problem and its remedy."""
        if not self.problems:
            return self
        *others, last = self.problems
        raise ScheduleGroupError("\n".join([*map(str, others), *str(last).splitlines()[:-1]]), remedy=last.remedy)


def with_checked_nodes(manifest: Mapping[str, Any], plan: Plan) -> Mapping[str, Any]:
    """Return the manifest with each test depending on the one node or source that the plan makes it a check of.

    dagster-dbt takes a test that depends on one node as a check of it, and makes a bare observation of one that
    depends on several and is written beside none, or beside an ephemeral model.
    """
    nodes = dict(manifest["nodes"])
    for test in plan.tests.values():
        checked = [test.node] if test.node else []
        nodes[test.unique_id] = {**nodes[test.unique_id], "depends_on": {"nodes": checked, "macros": []}}
    return {**manifest, "nodes": nodes}
