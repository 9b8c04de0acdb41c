"""What is to run for a person who asks for groups, a selection, or all upstream of them. Pure: dbt unique ids alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.groups import FullRefresh, OnUpstreamFailure
from analytics_dagster.planning.plan import Plan, PlannedTest
from analytics_dagster.planning.stages import Stage, stages
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class Scope:
    """What a person asks for: of these groups all, or what dbt's selection names (unique ids).

    ``unit_tests`` says whether runs execute these too.
    """

    groups: tuple[str, ...]
    selected: frozenset[str] | None = None
    upstream: bool = False
    unit_tests: bool = False


@dataclass(frozen=True)
class GroupRun:
    """A run of a group's job: ``whole``, with all that starts with it, or just these nodes and tests.

    ``last`` is the last of the runs in which a group that was asked for as a whole comes: what starts with the group
    starts with it. ``after`` are the groups of the other parts that it reads, and whose failure keeps it from starting;
    ``sources`` are the sources that it reads.
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
    """The runs in their order, the sources that are needed first, and the tests that were left out, with the reason."""

    parts: tuple[GroupRun, ...]
    sources: frozenset[str]
    left_out: Mapping[str, str] = field(default_factory=dict)


def resolve_request(plan: Plan, graph: Graph, asked: Scope) -> ResolvedRequest:
    """Return what is to run for what was asked for."""
    plan = _with_unit_tests(plan, graph, asked)
    names = [name for name in plan.by_name if name in asked.groups]
    home = _Assignment.of(plan, names, asked.selected)
    left_out: dict[str, str] = {}
    if asked.upstream:
        home, left_out = _with_upstream(home, plan, graph, by_group=asked.selected is None)
    whole = set(names) if asked.selected is None else set[str]()
    parts = tuple(_parts(tuple(_stages(home, plan, graph, whole)), plan, graph, whole))
    sources = (asked.selected or frozenset()) & graph.sources.keys()
    return ResolvedRequest(parts, frozenset(sources.union(*(part.sources for part in parts))), left_out)


def _with_unit_tests(plan: Plan, graph: Graph, asked: Scope) -> Plan:
    """Return the plan with unit tests among the tests, if they are run, else without them."""
    return replace(
        plan,
        groups=tuple(
            replace(
                group,
                tests=(
                    *group.tests,
                    *(
                        PlannedTest(unit_test, graph.checked(unit_test), graph.reads(unit_test))
                        for unit_test in group.unit_tests
                        if asked.unit_tests
                    ),
                ),
                unit_tests=(),
            )
            for group in plan.groups
        ),
    )


def require_full_refresh(plan: Plan, parts: Iterable[GroupRun]) -> None:
    """Raise `ScheduleGroupError` if a full refresh is asked for of a group that never has one."""
    never = [
        name
        for name in dict.fromkeys(part.group for part in parts)
        if plan.by_name[name].group.full_refresh is FullRefresh.NEVER
    ]
    if never:
        raise ScheduleGroupError(
            f"--full-refresh is refused: the schedule groups' file says `full_refresh: never` at {', '.join(never)}.",
            remedy="Leave these groups out (`--group` names the others), or change what the file says.",
        )


@dataclass(frozen=True)
class _Assignment:
    """In which group's job each node and test is to run."""

    nodes: Mapping[str, str]
    tests: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan, names: Collection[str], selected: frozenset[str] | None) -> _Assignment:
        """Return those of the named groups, of all that they build and test or what of it is selected.

        What several of them build is at home where the plan has it, else in the first that refreshes it.
        """
        nodes: dict[str, str] = {}
        tests: dict[str, str] = {}
        for group in (plan.by_name[name] for name in names):
            nodes.update(dict.fromkeys(group.nodes, group.group.name))
            tests.update({test.unique_id: group.group.name for test in group.tests})
        for group in (plan.by_name[name] for name in names):
            for node in group.refreshes:
                nodes.setdefault(node, group.group.name)
            for test in group.refreshed_tests:
                tests.setdefault(test, group.group.name)
        if selected is None:
            return cls(nodes, tests)
        return cls(
            {node: name for node, name in nodes.items() if node in selected},
            {test: name for test, name in tests.items() if test in selected},
        )


def _with_upstream(
    home: _Assignment, plan: Plan, graph: Graph, *, by_group: bool
) -> tuple[_Assignment, dict[str, str]]:
    """Return the homes with all that these nodes and tests read, and the tests of it; and the tests left out.

    A test that dbt selects along with a node, but which reads more than this node and what is upstream of it, would
    bring in nodes that nobody asked for, and fails without them on an empty warehouse: it is left out.
    """
    nodes = frozenset(home.nodes)
    reached = nodes | graph.upstream(nodes)
    left_out = {}
    for test in () if by_group else home.tests:
        parents = graph.parents(test)
        if parents & nodes and not parents <= reached:
            beyond = ", ".join(sorted(parents - reached))
            left_out[test] = f"it reads {beyond} too, which is neither selected nor upstream of what is"
    tests = {test: name for test, name in home.tests.items() if test not in left_out}
    needed = nodes.union(*(graph.parents(test) for test in tests))
    needed |= graph.upstream(needed)
    added = needed - nodes
    # What the named groups only refresh is built by its own group first where that is needed on the way.
    first = {node for node in graph.upstream(added) & nodes if plan.group_of[node] != home.nodes[node]}
    all_nodes = {**home.nodes, **{node: plan.group_of[node] for node in added | first}}
    new = added.union(*(graph.reads(node) & graph.sources.keys() for node in all_nodes))
    same = {source for source, node in graph.built_as.items() if node in all_nodes}
    complete = set(all_nodes) | same | graph.sources.keys() & new
    tests.update(
        {
            test: plan_of.group.name
            for plan_of in plan.groups
            for test, reads in ((test.unique_id, test.reads) for test in plan_of.tests)
            if test not in tests and test not in left_out and reads & new and reads <= complete
        }
    )
    return _Assignment(all_nodes, tests), left_out


def _stages(home: _Assignment, plan: Plan, graph: Graph, whole: Collection[str]) -> Iterator[Stage]:
    names = {*home.nodes.values(), *home.tests.values()}
    waited_for = any(edge.previous and {edge.upstream, edge.downstream} <= names for edge in plan.edges)
    if names <= set(whole) and not waited_for:
        # The plan's own order, in which each group is run as it is.
        for group in plan.groups:
            if group.group.name in names:
                yield _all_of(group.group.name, home)
        return
    yield from stages(_at_home(plan, home), graph, frozenset(home.nodes), frozenset(home.tests))


def _all_of(name: str, home: _Assignment) -> Stage:
    return Stage(
        name,
        frozenset(node for node, at in home.nodes.items() if at == name),
        frozenset(test for test, at in home.tests.items() if at == name),
    )


def _at_home(plan: Plan, home: _Assignment) -> Plan:
    """Return the plan with each of the nodes and tests in the group in whose job it is to run."""
    tests = plan.tests
    return replace(
        plan,
        groups=tuple(
            replace(
                group,
                nodes=tuple(node for node, at in home.nodes.items() if at == group.group.name),
                tests=tuple(tests[test] for test, at in home.tests.items() if at == group.group.name),
                refreshes=(),
                refreshed_tests=(),
            )
            for group in plan.groups
        ),
    )


def _parts(runs: Sequence[Stage], plan: Plan, graph: Graph, whole: Collection[str]) -> Iterator[GroupRun]:
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
            after=frozenset(upstream | ({stage.group} if stage.group in names[:place] else set())),
            whole=stage.group in whole and names.count(stage.group) == 1,
            last=stage.group in whole and stage.group not in names[place + 1 :],
        )
