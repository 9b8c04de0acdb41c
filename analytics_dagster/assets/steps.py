"""The Dagster steps that run dbt: which nodes and tests each one has, what it waits for, and which checks block.

Within one `dbt build`, dbt orders nodes and tests and skips what is downstream of a failed test. Between the builds of
several groups in one run, Dagster orders whole steps by their assets. A blocking check stops every step that reads its
asset, but does not itself wait for what the test reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

import dagster as dg

from analytics_dagster.assets.keys import dagster_names
from analytics_dagster.planning.plan import Plan, PlannedTest
from analytics_dagster.project.graph import Graph, reachable


@dataclass(frozen=True)
class Step:
    """A group's main step, which builds its nodes and runs most tests; or its step of tests that wait for others."""

    group: str
    is_tests_only: bool = False


@dataclass(frozen=True)
class StepSpec:
    """A step as Dagster needs it: unique ids of ``nodes`` and ``tests`` by output, keys of ``inputs`` by input name.

    ``position`` is the position of the schedule group in the order of runs.
    """

    name: str
    group: str
    position: int
    nodes: Mapping[str, str]
    tests: Mapping[str, str]
    inputs: Mapping[str, dg.AssetKey]


def plan_steps(
    plan: Plan, graph: Graph, specs: Mapping[str, dg.AssetSpec], checks: Mapping[str, dg.AssetCheckSpec]
) -> tuple[StepSpec, ...]:
    """Return the steps of each schedule group that has nodes or tests, main steps first.

    ``specs``, also of sources, and ``checks`` are by dbt unique id; unit tests are in ``checks`` if runs execute them.
    """
    contents = _contents(plan, graph, specs, checks)
    names = dagster_names((step, f"dbt_{step.group}" + ("_tests" if step.is_tests_only else "")) for step in contents)
    position = {part.group.name: position for position, part in enumerate(plan.groups)}
    others = [spec for unique_id, spec in specs.items() if unique_id not in plan.group_of]
    whole = not _have_cycle(contents, others)
    steps = []
    for name, step in names.items():
        nodes, tests = contents[step]
        outputs = _outputs(nodes, tests)
        steps.append(
            StepSpec(
                name=name,
                group=step.group,
                position=position[step.group],
                nodes={output: unique_id for output, unique_id in outputs.items() if unique_id in nodes},
                tests={output: unique_id for output, unique_id in outputs.items() if unique_id in tests},
                inputs=_inputs(list(nodes.values()), list(tests.values()), whole=whole),
            )
        )
    return tuple(steps)


_Contents = Mapping[Step, tuple[Mapping[str, dg.AssetSpec], Mapping[str, dg.AssetCheckSpec]]]


def _contents(
    plan: Plan, graph: Graph, specs: Mapping[str, dg.AssetSpec], checks: Mapping[str, dg.AssetCheckSpec]
) -> _Contents:
    """Return the assets and checks of each step that has any, by dbt unique id."""
    step_of = Steps(plan, graph).of_test
    contents: dict[Step, tuple[dict[str, dg.AssetSpec], dict[str, dg.AssetCheckSpec]]] = {}
    for part in plan.groups:
        step = Step(part.group.name)
        contents[step] = {node: specs[node] for node in part.nodes}, {}
        for test in (*(test.unique_id for test in part.tests), *part.unit_tests):
            if test in checks:
                contents.setdefault(step_of.get(test, step), ({}, {}))[1][test] = checks[test]
    ordered = sorted(contents, key=lambda step: step.is_tests_only)
    return {step: contents[step] for step in ordered if any(contents[step])}


def _outputs(specs: Mapping[str, dg.AssetSpec], checks: Mapping[str, dg.AssetCheckSpec]) -> Mapping[str, str]:
    """Return the unique ids of a step's assets and checks by output name: Dagster's own names unless these collide."""
    by_key = sorted(specs.items(), key=lambda item: item[1].key)
    checks_by_key = sorted(checks.items(), key=lambda item: item[1].key)
    return dagster_names(
        [
            *((node, spec.key.to_python_identifier()) for node, spec in by_key),
            *((test, check.get_python_identifier()) for test, check in checks_by_key),
        ]
    )


def _inputs(
    specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec], *, whole: bool
) -> Mapping[str, dg.AssetKey]:
    """Return what a step reads by input name; its own assets only if Dagster may split it (not ``whole``).

    Dagster splits steps that wait for each other in a cycle. Each input costs time in every load of the location.
    """
    read = {
        *(dep.asset_key for spec in specs for dep in spec.deps),
        *(dep.asset_key for check in checks for dep in check.additional_deps),
        *(check.asset_key for check in checks),
    }
    if whole:
        read -= {spec.key for spec in specs}
    return dagster_names((key, "_".join(key.path)) for key in sorted(read))


def _have_cycle(steps: _Contents, others: Sequence[dg.AssetSpec]) -> bool:
    """Return whether steps wait for each other, also through assets that are built elsewhere."""
    step_of: dict[dg.AssetKey, object] = {
        spec.key: step for step, (nodes, _) in steps.items() for spec in nodes.values()
    }
    waits: dict[object, set[object]] = defaultdict(set)
    for step, (nodes, tests) in steps.items():
        for read in _inputs(list(nodes.values()), list(tests.values()), whole=True).values():
            waits[step].add(step_of.get(read, read))
    for spec in others:
        waits[spec.key] |= {step_of.get(dep.asset_key, dep.asset_key) for dep in spec.deps}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError:
        return True
    return False


class Steps:
    """The step of each node and test, and the order of steps.

    The order follows every read, including those that a group excludes on purpose (`reads_previous`) or refreshes.
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

        A test is in its group's step of tests if, in a run that refreshes nodes, it reads what several steps build and
        no node of its own group is downstream of all of that: its group's main step could run before the others.
        """
        main = {test.unique_id: Step(group.group.name) for group in self._plan.groups for test in group.tests}
        tests_only = {
            test: Step(main[test].group, is_tests_only=True)
            for group in self._plan.groups
            for test in (*(test.unique_id for test in group.tests), *group.refreshed_tests)
            if self._needs_several(self._graph.parents(test) & group.builds, main[test])
        }
        return {**main, **tests_only}

    def blocks(self, test: PlannedTest) -> bool:
        """Return whether the check of a data test blocks: its severity is error and no steps would wait in a cycle.

        Dagster can't load a location whose steps wait for each other.
        """
        if test.node is None or severity(self._graph.nodes[test.unique_id]) != "error":
            return False
        step = self.of_test[test.unique_id]
        readers = {self.of_node[node] for node in self._graph.readers.get(test.node, ()) if node in self.of_node}
        # The step that builds the node does not wait for its checks.
        readers |= self._test_readers.get(test.node, set()) - {self.of_node.get(test.node)}
        # Dagster splits the steps of a cycle. Only a test of one node is certain to stay in its node's step.
        stays = self.of_node.get(test.node) == step and test.reads == {test.node}
        return all(
            stays if self._in_cycle(step, reader) else reader == step or self._rank(step) < self._rank(reader)
            for reader in readers
        )

    @cached_property
    def _test_readers(self) -> Mapping[str, set[Step]]:
        """The steps whose tests read each node."""
        readers: dict[str, set[Step]] = defaultdict(set)
        for test in self._plan.tests.values():
            for node in test.reads:
                readers[node].add(self.of_test[test.unique_id])
        return readers

    def _needs_several(self, read: AbstractSet[str], step: Step) -> bool:
        own = {node for node in read if self.of_node[node] == step}
        return read != own and not any(read <= self._graph.upstream(frozenset({node})) | {node} for node in own)

    def _in_cycle(self, one: Step, other: Step) -> bool:
        return one in self._upstream[other] and other in self._upstream[one]

    def _rank(self, step: Step) -> tuple[int, int]:
        """Return a sort key that orders each step after the steps that it reads, except in a cycle."""
        cycle = {other for other in self._upstream[step] if self._in_cycle(step, other)} | {step}
        return len(self._upstream[step] | cycle), min(self._position[other] for other in cycle)

    @cached_property
    def _position(self) -> Mapping[Step, int]:
        steps = [Step(part.group.name, is_tests_only) for part in self._plan.groups for is_tests_only in (False, True)]
        return {step: position for position, step in enumerate(steps)}

    @cached_property
    def _upstream(self) -> Mapping[Step, AbstractSet[Step]]:
        """All steps that each step reads, directly or indirectly; includes itself if it is in a cycle."""
        direct: dict[Step, set[Step]] = {step: set() for step in self._position}
        for reader, step in {**self.of_node, **self.of_test}.items():
            read = self._graph.parents(reader) & self.of_node.keys()
            direct[step] |= {self.of_node[node] for node in read} - {step}
        return {step: reachable(direct[step], direct) for step in direct}


def severity(test: Mapping[str, Any]) -> str:
    """Return a test's configured severity, `error` or `warn`."""
    return str(test["config"].get("severity") or "error").lower()
