"""Decides which nodes and tests run in which group's job for a request. Pure: dbt unique ids only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.planning.groups import OnUpstreamFailure
from analytics_dagster.planning.plan import Plan, PlannedTest
from analytics_dagster.planning.stages import Stage, stages
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class Scope:
    """The requested groups, and which of their nodes and tests (unique ids); ``selected`` is None for all of them.

    ``upstream`` adds everything upstream; ``unit_tests`` says whether runs execute unit tests.
    """

    groups: tuple[str, ...]
    selected: frozenset[str] | None = None
    upstream: bool = False
    unit_tests: bool = False


@dataclass(frozen=True)
class GroupRun:
    """One run of a group's job: the ``whole`` job with its consumers, or only these nodes and tests.

    ``last`` marks the last run of a group that is requested as a whole: its consumers run with it. ``after`` are the
    groups whose failure prevents this run; ``sources`` are the sources that it reads.
    """

    group: str
    nodes: frozenset[str]
    tests: frozenset[str]
    sources: frozenset[str]
    after: frozenset[str] = frozenset()
    whole: bool = False
    last: bool = False


@dataclass(frozen=True)
class ResolvedRequest:
    """The runs in order, the sources to load first, and the reason of each test that is excluded."""

    runs: tuple[GroupRun, ...]
    sources: frozenset[str]
    excluded: Mapping[str, str] = field(default_factory=dict)


def resolve_request(plan: Plan, graph: Graph, scope: Scope) -> ResolvedRequest:
    """Return the runs for a request."""
    plan = _with_unit_tests(plan, graph, run=scope.unit_tests)
    names = [name for name in plan.by_name if name in scope.groups]
    assignment = _assign(plan, names, scope.selected)
    excluded: dict[str, str] = {}
    if scope.upstream:
        assignment, excluded = _with_upstream(assignment, plan, graph, by_group=scope.selected is None)
    whole = set(names) if scope.selected is None else set[str]()
    ordered = stages(_reassigned(plan, assignment), graph, frozenset(assignment.nodes), frozenset(assignment.tests))
    runs = tuple(_group_runs(ordered, plan, graph, whole))
    sources = (scope.selected or frozenset()) & graph.sources.keys()
    return ResolvedRequest(runs, frozenset(sources.union(*(run.sources for run in runs))), excluded)


def _with_unit_tests(plan: Plan, graph: Graph, *, run: bool) -> Plan:
    """Return the plan with its unit tests moved to the tests if they run, or removed."""
    groups = []
    for group in plan.groups:
        ids = group.unit_tests if run else ()
        tests = [PlannedTest(unique_id, graph.checked(unique_id), graph.reads(unique_id)) for unique_id in ids]
        groups.append(replace(group, tests=(*group.tests, *tests), unit_tests=()))
    return replace(plan, groups=tuple(groups))


@dataclass(frozen=True)
class _Assignment:
    """The group in whose job each node and test runs."""

    nodes: Mapping[str, str]
    tests: Mapping[str, str]


def _assign(plan: Plan, names: Collection[str], selected: frozenset[str] | None) -> _Assignment:
    """Assign the nodes and tests of the named groups, or the selected ones of them.

    A node that several of them build is assigned to its own group, or to the first that refreshes it.
    """
    nodes: dict[str, str] = {}
    tests: dict[str, str] = {}
    groups = [plan.by_name[name] for name in names]
    for group in groups:
        nodes.update(dict.fromkeys(group.nodes, group.group.name))
        tests.update({test.unique_id: group.group.name for test in group.tests})
    for group in groups:
        nodes = {**dict.fromkeys(group.refreshes, group.group.name), **nodes}
        tests = {**dict.fromkeys(group.refreshed_tests, group.group.name), **tests}

    def kept(assigned: Mapping[str, str]) -> Mapping[str, str]:
        return {one: name for one, name in assigned.items() if selected is None or one in selected}

    return _Assignment(kept(nodes), kept(tests))


def _with_upstream(
    assignment: _Assignment, plan: Plan, graph: Graph, *, by_group: bool
) -> tuple[_Assignment, dict[str, str]]:
    """Return the assignment with everything upstream and its tests, and the excluded tests.

    dbt selects a test together with each node that it reads. A test that also reads a node which is neither selected
    nor upstream is excluded: that node would be built without being requested, and without it the test fails on an
    empty warehouse.
    """
    nodes = frozenset(assignment.nodes)
    reached = nodes | graph.upstream(nodes)
    excluded = {}
    for test in () if by_group else assignment.tests:
        parents = graph.parents(test)
        if parents & nodes and not parents <= reached:
            others = ", ".join(sorted(parents - reached))
            excluded[test] = f"it also reads {others}, which is neither selected nor upstream of the selection"
    tests = {test: name for test, name in assignment.tests.items() if test not in excluded}
    needed = nodes.union(*(graph.parents(test) for test in tests))
    needed |= graph.upstream(needed)
    added = needed - nodes
    # A node that the named groups only refresh is built by its own group first if an added node depends on it.
    first = {node for node in graph.upstream(added) & nodes if plan.group_of[node] != assignment.nodes[node]}
    all_nodes = {**assignment.nodes, **{node: plan.group_of[node] for node in added | first}}
    new = added.union(*(graph.reads(node) & graph.sources.keys() for node in all_nodes))
    same = {source for source, node in graph.built_as.items() if node in all_nodes}
    complete = set(all_nodes) | same | graph.sources.keys() & new
    decided = {*tests, *excluded}
    for group in plan.groups:
        for added_test in group.tests:
            reads = added_test.reads
            if added_test.unique_id not in decided and reads & new and reads <= complete:
                tests[added_test.unique_id] = group.group.name
    return _Assignment(all_nodes, tests), excluded


def _reassigned(plan: Plan, assignment: _Assignment) -> Plan:
    """Return the plan with each node and test in the group in whose job it runs."""
    all_tests, groups = plan.tests, []
    for group in plan.groups:
        name = group.group.name
        nodes = tuple(node for node, other in assignment.nodes.items() if other == name)
        tests = tuple(all_tests[test] for test, other in assignment.tests.items() if other == name)
        groups.append(replace(group, nodes=nodes, tests=tests, refreshes=(), refreshed_tests=()))
    return replace(plan, groups=tuple(groups))


def _group_runs(runs: Sequence[Stage], plan: Plan, graph: Graph, whole: Collection[str]) -> Iterator[GroupRun]:
    built_in = {node: stage.group for stage in runs for node in stage.nodes}
    names = [stage.group for stage in runs]
    for place, stage in enumerate(runs):
        group = plan.by_name[stage.group].group
        reads = frozenset().union(*(graph.reads(one) for one in (*stage.nodes, *stage.tests)))
        upstream = {built_in[node] for node in reads if node in built_in} - {stage.group, *group.reads_previous}
        if group.on_upstream_failure is OnUpstreamFailure.RUN:
            upstream = set()
        yield GroupRun(
            group=stage.group,
            nodes=stage.nodes,
            tests=stage.tests,
            sources=reads & graph.sources.keys(),
            after=frozenset(upstream | ({stage.group} & set(names[:place]))),
            whole=stage.group in whole and names.count(stage.group) == 1,
            last=stage.group in whole and stage.group not in names[place + 1 :],
        )
