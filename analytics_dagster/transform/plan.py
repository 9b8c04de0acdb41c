"""The plan: what each schedule group would run, in which order, and what is wrong. Pure: a manifest in, a value out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.transform.graph import Graph, reachable
from analytics_dagster.transform.groups import OnOverlap, ScheduleGroup, ScheduleGroups


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


def make_plan(
    groups: ScheduleGroups, manifest: Mapping[str, Any], selected: Mapping[Selection, frozenset[str]]
) -> Plan:
    """Put every node and every test of a manifest into one group.

    ``selected`` holds the unique ids that each of ``groups.selections`` names, as dbt resolved it.
    """
    graph = Graph(manifest)
    takers = _takers(groups, graph, selected)
    owner, problems = _assign(groups, takers)
    refreshes = _refreshes(groups, takers, owner)
    edges, refreshers = _edges(groups, owner, refreshes, graph), _refreshers(owner, refreshes, graph)
    order, cycles = _order(groups.groups, edges, refreshers)
    edges += _later(refreshers, order, edges)
    tests, unit_tests = _assign_tests(groups, order, owner, graph, selected)
    edges += _later(_edges_of_tests(tests, owner), order, edges)
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
        problems=(*problems, *cycles, *_changed_by_variables(groups, graph, selected)),
        left_out=tuple(_left_out(manifest, graph)),
    )
    plan = replace(plan, groups=tuple(_with_refreshed_tests(group, plan) for group in plan.groups))
    return replace(plan, warnings=tuple(_warnings(plan, groups, graph, selected)))


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


def _takers(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Mapping[str, list[str]]:
    """Return the groups that select each node, in the order of the file."""
    takers: dict[str, list[str]] = {node: [] for node in sorted(graph.built)}
    for group in groups.groups:
        for node in selected[group.selection] & graph.built:
            takers[node].append(group.name)
    return takers


def _assign(groups: ScheduleGroups, takers: Mapping[str, list[str]]) -> tuple[dict[str, str], list[Problem]]:
    default = next((group.name for group in groups.groups if group.default), None)
    owner = {node: names[0] if names else default for node, names in takers.items()}
    problems = []
    twice = tuple(f"{node} ({', '.join(names)})" for node, names in takers.items() if len(names) > 1)
    if twice and groups.on_overlap is OnOverlap.ERROR:
        problems.append(
            Problem(
                code="node-in-several-groups",
                message="Nodes are selected by more than one schedule group:",
                nodes=twice,
                remedy="Leave each of them in one group (take a tag away, narrow a selection), or say in the groups' "
                "file what is meant: `on_overlap: first` (the first group has it) or `all` (all of them refresh it).",
            )
        )
    lost = tuple(node for node, name in owner.items() if name is None)
    if lost:
        problems.append(
            Problem(
                code="node-in-no-group",
                message="Nodes are selected by no schedule group, and none is the default:",
                nodes=lost,
                remedy="Tag them so that a group selects them, or give one group `default: true`.",
            )
        )
    return {node: name for node, name in owner.items() if name is not None}, problems


def _refreshes(
    groups: ScheduleGroups, takers: Mapping[str, list[str]], owner: Mapping[str, str]
) -> Mapping[str, set[str]]:
    """Return what each group builds of the nodes of others."""
    found: dict[str, set[str]] = {group.name: set() for group in groups.groups}
    if groups.on_overlap is OnOverlap.ALL:
        for node, names in takers.items():
            for name in names:
                if name != owner[node]:
                    found[name].add(node)
    return found


def _edges(
    groups: ScheduleGroups, owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph
) -> list[Edge]:
    found: dict[tuple[str, str], Edge] = {}
    previous = {group.name: set(group.reads_previous) for group in groups.groups}
    for child, parent, downstream in _reads_of_others(owner, refreshes, graph):
        pair = owner[parent], downstream
        found.setdefault(pair, Edge(*pair, parent, child, previous=pair[0] in previous[downstream]))
    return list(found.values())


def _refreshers(owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph) -> list[Edge]:
    """Return an edge for each pair of groups of which one reads what the other refreshes and a third one owns."""
    refreshed_by: dict[str, list[str]] = defaultdict(list)
    for group, nodes in refreshes.items():
        for node in nodes:
            refreshed_by[node].append(group)
    found: dict[tuple[str, str], Edge] = {}
    for child, parent, downstream in _reads_of_others(owner, refreshes, graph):
        for upstream in refreshed_by.get(parent, ()):
            found.setdefault((upstream, downstream), Edge(upstream, downstream, parent, child))
    return list(found.values())


def _reads_of_others(
    owner: Mapping[str, str], refreshes: Mapping[str, set[str]], graph: Graph
) -> Iterator[tuple[str, str, str]]:
    """Yield each node that a group builds and each that it reads there and does not build: child, parent, group."""
    built_by = [(child, group) for child, group in owner.items()]
    built_by += [(child, group) for group, nodes in refreshes.items() for child in sorted(nodes)]
    for child, group in built_by:
        for parent in sorted(graph.parents(child) & owner.keys()):
            if owner[parent] != group and parent not in refreshes[group]:
                yield child, parent, group


def _later(edges: Iterable[Edge], order: Sequence[ScheduleGroup], known: Iterable[Edge]) -> list[Edge]:
    """Return those of the edges that the order of the groups agrees with, and that are not known yet."""
    place = {group.name: index for index, group in enumerate(order)}
    pairs = {(edge.upstream, edge.downstream) for edge in known}
    return [
        replace(edge, previous=edge.upstream in order[place[edge.downstream]].reads_previous)
        for edge in edges
        if place[edge.upstream] < place[edge.downstream] and (edge.upstream, edge.downstream) not in pairs
    ]


def _order(
    groups: Sequence[ScheduleGroup], edges: Sequence[Edge], refreshers: Iterable[Edge]
) -> tuple[tuple[ScheduleGroup, ...], list[Problem]]:
    """Return the groups upstream first, else in the order of the file; and each circle of groups as a problem.

    What is to be read as the last run left it, and what a third group refreshes, comes first too where the rest allows.
    """
    upstream: dict[str, set[str]] = {group.name: set() for group in groups}
    shown = {(edge.upstream, edge.downstream): edge for edge in edges if not edge.previous}
    for one, other in shown:
        upstream[other].add(one)
    problems = []
    while path := _cycle(upstream):
        pairs = [shown[pair] for pair in itertools.pairwise(path)]
        problems.append(_cycle_problem(path, pairs))
        # As if the remedy had been taken: what is found then is another circle.
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
    """Return groups each of which reads the one before it, the first again at the end; none where none wait so."""
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
        remedy="Move one of these nodes into the other's group; or, where a group is meant to read what the "
        f"other built in its last run, say so: `reads_previous: [{last.upstream}]` at {last.downstream}.",
    )


def _upstream_first(groups: Sequence[ScheduleGroup], upstream: Mapping[str, set[str]]) -> Iterator[ScheduleGroup]:
    """Yield each group after those that it reads, else in the order of the file."""
    waiting, done = list(groups), set[str]()
    while waiting:
        group = next(group for group in waiting if upstream[group.name] <= done)
        waiting.remove(group)
        done.add(group.name)
        yield group


def _edges_of_tests(tests: Mapping[str, Sequence[PlannedTest]], owner: Mapping[str, str]) -> Iterable[Edge]:
    """Return an edge for each pair of groups that a test connects: it needs what both have built."""
    found: dict[tuple[str, str], Edge] = {}
    for downstream, planned in tests.items():
        for test in planned:
            for parent in sorted(test.reads & owner.keys()):
                pair = owner[parent], downstream
                if pair[0] != downstream:
                    found.setdefault(pair, Edge(*pair, parent, test.unique_id))
    return found.values()


def _assign_tests(
    groups: ScheduleGroups,
    order: Sequence[ScheduleGroup],
    owner: Mapping[str, str],
    graph: Graph,
    selected: Mapping[Selection, frozenset[str]],
) -> tuple[Mapping[str, list[PlannedTest]], Mapping[str, list[str]]]:
    """Return the tests and the unit tests of each group."""
    place = {group.name: index for index, group in enumerate(order)}
    readers = _readers_of_sources(owner, graph)
    last = _last_nodes(owner, graph)
    tests: dict[str, list[PlannedTest]] = defaultdict(list)
    unit_tests: dict[str, list[str]] = defaultdict(list)
    for unique_id in (*graph.tests, *graph.unit_tests):
        reads = graph.reads(unique_id)
        owners = {owner[node] for node in reads if node in owner}
        if owners:
            # The group that runs last is the one whose run makes complete what the test needs.
            group = max(owners, key=place.__getitem__)
        elif reading := {name for source in reads for name in readers[source]}:
            # A test of sources alone guards those who read them: the first group that does.
            group = min(reading, key=place.__getitem__)
        else:
            asking = [group.name for group in groups.groups if unique_id in selected[group.selection]]
            group = asking[0] if asking else _fallback(order, last if not reads else None)
        if unique_id in graph.tests:
            own = [node for node in reads if owner.get(node) == group]
            tests[group].append(PlannedTest(unique_id, graph.checked(unique_id, own) or last.get(group), reads))
        else:
            unit_tests[group].append(unique_id)
    return tests, unit_tests


def _readers_of_sources(owner: Mapping[str, str], graph: Graph) -> Mapping[str, set[str]]:
    readers: dict[str, set[str]] = defaultdict(set)
    for node, group in owner.items():
        for source in graph.reads(node) & graph.sources.keys():
            readers[source].add(group)
    return readers


def _last_nodes(owner: Mapping[str, str], graph: Graph) -> Mapping[str, str]:
    """Return the node that stands for a whole group, its last: where a test that reads nothing is shown."""
    return {owner[node]: node for node in sorted(owner, key=graph.position.__getitem__)}


def _fallback(order: Sequence[ScheduleGroup], last: Mapping[str, str] | None) -> str:
    """Return the group of a test that no group has a claim to: the default one, else the first.

    With ``last``, rather one that has a node to show the test at, which reads none.
    """
    used = [group for group in order if last is None or group.name in last] or order
    return next((group.name for group in used if group.default), used[0].name)


def _with_refreshed_tests(group: GroupPlan, plan: Plan) -> GroupPlan:
    """Return the group with those tests of what it refreshes whose data is complete in its own run."""
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


def _changed_by_variables(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    for group in groups.groups:
        changed = sorted(selected[group.changes]) if group.changes else []
        if changed:
            yield Problem(
                code="vars-change-nodes",
                message=f"The vars of the schedule group {group.name} change which nodes the project has, what they "
                "read or where they are built:",
                nodes=tuple(
                    f"{node} is {'another, or none,' if node in graph.nodes else 'there only'} under these vars"
                    for node in changed
                ),
                remedy="A node must be the same for all groups: set the var for the whole location "
                "(ANALYTICS_DBT_VARS or dbt_project.yml).",
            )


def _warnings(
    plan: Plan, groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    if not (graph.built or graph.tests):
        yield Problem(
            code="nothing-to-run",
            message="The dbt project has no node to build and no test to run.",
            nodes=(),
            remedy="Add one; until then the schedule groups have no jobs.",
        )
        return
    for group in groups.groups:
        what = f"the selector {group.selector!r}" if group.selector else repr(group.select)
        if not selected[group.selection] & (graph.built | graph.tests.keys()):
            if group.default and not plan.by_name[group.name].is_empty:
                # It has what no other selects: its own selection need not name any of that.
                continue
            yield Problem(
                code="selection-matches-nothing",
                message=f"The selection of the schedule group {group.name} matches no node: {what}.",
                nodes=(),
                remedy="Correct the selection, tag the nodes that are meant, or take the group away.",
            )
        elif plan.by_name[group.name].is_empty:
            yield Problem(
                code="group-runs-nothing",
                message=f"All that the schedule group {group.name} selects is run by other groups: {what}.",
                nodes=(),
                remedy="Put the group above them in the file, narrow their selections, or take it away.",
            )


def _left_out(manifest: Mapping[str, Any], graph: Graph) -> Iterator[LeftOut]:
    disabled = sorted(graph.disabled)
    found = {
        "ephemeral models": ("part of the SQL of what reads them", sorted(graph.ephemeral)),
        "disabled nodes": ("switched off by their configuration", disabled),
        **{
            f"{kind.replace('_', ' ')}": (why, sorted(manifest.get(key) or {}))
            for kind, (key, why) in _NEVER_BUILT.items()
        },
        "analyses": ("compiled, never run", _of_type(graph, "analysis")),
        "hooks": ("run by dbt at the start and the end of each build", _of_type(graph, "operation")),
    }
    for what, (why, nodes) in found.items():
        if nodes:
            yield LeftOut(what, why, tuple(nodes))


_NEVER_BUILT = {
    "sources": ("sources", "loaded before dbt; external assets unless this location loads them"),
    "exposures": ("exposures", "made of what is built, outside dbt; assets without a run"),
    "metrics": ("metrics", "definitions, computed when asked for"),
    "semantic_models": ("semantic_models", "definitions on top of models"),
    "saved_queries": ("saved_queries", "definitions; dbt's open-source engine runs none"),
}


def _of_type(graph: Graph, resource_type: str) -> list[str]:
    return sorted(node for node, content in graph.nodes.items() if content["resource_type"] == resource_type)
