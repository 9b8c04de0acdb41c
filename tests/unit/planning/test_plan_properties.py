"""Properties of the plan of any project: nothing is lost, run twice or in the wrong order, or a problem says why.

Hypothesis draws projects and groups' files of any shape. The plan is checked against a warehouse that is simulated
here from the manifest's edges, without any code of the plan.
`PROPERTY_EXAMPLES=100000 pytest tests/unit/planning/test_plan_properties.py --hypothesis-show-statistics` tries more,
and counts them.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup
from analytics_dagster.planning.plan import Plan, Problem
from analytics_dagster.planning.stages import stages
from tests.unit.manifests import Manifest, group

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "300"))
NAMES = ("a", "b", "c", "d", "e")
KINDS = ("table", "table", "view", "incremental", "ephemeral", "ephemeral", "seed", "snapshot", "function")


# --- any project ------------------------------------------------------------------------------------------------


@dataclass
class Project:
    """A drawn project and groups' file; ``edges`` are what each node and test reads by dbt's manifest."""

    groups: tuple[ScheduleGroup, ...] = ()
    on_overlap: OnOverlap = OnOverlap.ERROR
    manifest: Manifest = field(default_factory=Manifest)
    edges: dict[str, list[str]] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    ephemeral: set[str] = field(default_factory=set)
    built_as: dict[str, str] = field(default_factory=dict)
    tests: list[str] = field(default_factory=list)
    unit_tests: list[str] = field(default_factory=list)
    attached: dict[str, str | None] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        """Return the parts of a failing example."""
        groups = ", ".join(
            f"{one.name}{' (default)' if one.default else ''}"
            f"{f' reads_previous={one.reads_previous}' if one.reads_previous else ''}"
            for one in self.groups
        )
        return (
            f"Project({groups}; on_overlap={self.on_overlap.value}; {self.edges}; ephemeral={self.ephemeral}; "
            f"built_as={self.built_as}; tagged={self.manifest.tagged})"
        )

    def plan(self) -> Plan:
        """Return the plan to check."""
        return self.manifest.plan(*self.groups, on_overlap=self.on_overlap, changed=self.changed)

    # The same facts, computed independently of the plan.

    def selecting(self, node: str) -> list[str]:
        """Return the groups that select a node."""
        return [one.name for one in self.groups if node in self.manifest.tagged.get(one.name, ())]

    def owner(self, node: str) -> str | None:
        """Return the group that a node belongs to."""
        default = [one.name for one in self.groups if one.default]
        return next(iter([*self.selecting(node), *default]), None)

    def builds(self, name: str) -> set[str]:
        """Return the nodes that a run of a group builds."""
        own = {node for node in self.built if self.owner(node) == name}
        if self.on_overlap is not OnOverlap.ALL:
            return own
        return own | {node for node in self.built if name in self.selecting(node)}

    def declared(self, one: str) -> set[str]:
        """Return the built nodes and sources that a node or test refers to, directly or through ephemeral models."""
        return {
            name for read in self.edges[one] for name in (self.declared(read) if read in self.ephemeral else {read})
        }

    def reads(self, one: str) -> set[str]:
        """Return the built nodes and sources whose data a node or test needs."""
        declared = self.declared(one)
        return (declared | {self.built_as[read] for read in declared if read in self.built_as}) - {one}

    def parents(self, one: str) -> set[str]:
        """Return the built nodes whose data a node or test needs."""
        return self.reads(one) & set(self.built)

    def previous(self, name: str) -> set[str]:
        """Return the groups of which a group reads the previous run's tables."""
        (found,) = [one for one in self.groups if one.name == name]
        return set(found.reads_previous)


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Draw a project of sources, nodes of all kinds and tests, and a groups' file that fits it more or less."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    project = Project(on_overlap=draw(st.sampled_from(OnOverlap)))
    project.groups = _draw_groups(draw, names)
    _draw_nodes(draw, project, names)
    _draw_tests(draw, project, names)
    if draw(st.integers(0, 9)) == 0 and any(one.variables for one in project.groups):
        project.changed = draw(st.sets(st.sampled_from([*project.built, *project.tests, "model.p.new"])))
    return project


def _draw_groups(draw: st.DrawFn, names: Sequence[str]) -> tuple[ScheduleGroup, ...]:
    default = draw(st.sampled_from([*names, *names, None]))
    previous = draw(st.sampled_from(["none", "some", "all others"]))
    meant = {
        "none": st.just(set[str]()),
        "some": st.sets(st.sampled_from(names)),
        "all others": st.just(set(names)),
    }[previous]
    return tuple(
        group(
            name,
            default=name == default,
            reads_previous=tuple(sorted(draw(meant) - {name})),
            vars={"v": 1} if draw(st.integers(0, 7)) == 0 else {},
        )
        for name in names
    )


def _draw_nodes(draw: st.DrawFn, project: Project, names: Sequence[str]) -> None:
    manifest = project.manifest
    known: list[str] = []
    for place in range(draw(st.integers(0, 3))):
        manifest.source(f"s{place}")
        known.append(f"source.p.s.s{place}")
    number = draw(st.integers(0, 12))
    ways = ["layers", "layers", "one tag or none"]
    way = draw(st.sampled_from(ways if project.on_overlap is OnOverlap.ERROR else [*ways, "any tags", "any tags"]))
    borders = sorted(draw(st.lists(st.integers(0, number), min_size=len(names), max_size=len(names))))
    for place in range(number):
        kind = draw(st.sampled_from(KINDS))
        reads = draw(st.lists(st.sampled_from(known), min_size=place % 2, max_size=3, unique=True)) if known else []
        if way == "layers":
            # Groups that read each other mostly in one direction, as in real projects.
            layer = [name for name, border in zip(names, borders, strict=True) if place < border][:1]
            tags = set(layer) if draw(st.integers(0, 9)) else draw(st.sets(st.sampled_from(names), max_size=2))
        else:
            tags = draw(st.sets(st.sampled_from(names), max_size=1 if way == "one tag or none" else 3))
        unique_id = _add_node(project, f"n{place}", kind, [] if kind == "seed" else reads, tags)
        known.append(unique_id)
        if unique_id in project.built and draw(st.integers(0, 5)) == 0:
            # A source that is this node's relation: nothing before the node reads it, so there is no cycle.
            manifest.source(f"as_n{place}", relation=f"N{place}")
            project.built_as[f"source.p.s.as_n{place}"] = unique_id
            known.append(f"source.p.s.as_n{place}")


def _add_node(project: Project, name: str, kind: str, reads: list[str], tags: set[str]) -> str:
    manifest = project.manifest
    if kind == "seed":
        manifest.seed(name, tag=tags)
    elif kind in {"snapshot", "function"}:
        getattr(manifest, kind)(name, *reads, tag=tags)
    else:
        manifest.model(name, *reads, tag=tags, materialized=kind)
    unique_id = f"{kind if kind in {'seed', 'snapshot', 'function'} else 'model'}.p.{name}"
    project.edges[unique_id] = reads
    if kind == "ephemeral":
        project.ephemeral.add(unique_id)
    else:
        project.built.append(unique_id)
    return unique_id


def _draw_tests(draw: st.DrawFn, project: Project, names: Sequence[str]) -> None:
    known = [*project.built, *project.ephemeral, *project.manifest.sources]
    for place in range(draw(st.integers(0, 6))):
        reads = draw(st.lists(st.sampled_from(known), max_size=3, unique=True)) if known else []
        attached = draw(st.sampled_from([None, *reads]))
        tags = draw(st.sets(st.sampled_from(names), max_size=2))
        project.manifest.test(f"t{place}", *reads, beside=attached, tag=tags)
        project.edges[f"test.p.t{place}"] = reads
        project.attached[f"test.p.t{place}"] = attached
        project.tests.append(f"test.p.t{place}")
    models = [node for node in [*project.built, *sorted(project.ephemeral)] if node.startswith("model.")]
    for place in range(draw(st.integers(0, 2)) if models else 0):
        model = draw(st.sampled_from(models))
        project.manifest.unit_test(f"u{place}", model)
        project.edges[f"unit_test.p.u{place}"] = [model]
        project.unit_tests.append(f"unit_test.p.u{place}")


# --- a warehouse ------------------------------------------------------------------------------------------------


class Warehouse:
    """The tables that exist, and how often each node was built or tested; a missing table is a failure."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.tables: set[str] = set()
        self.executed: Counter[str] = Counter()

    def run(self, nodes: Collection[str], tests: Collection[str]) -> None:
        """Run one `dbt build`: its nodes, each after its parents, then its tests."""
        assert len(nodes) == len(set(nodes)), "a run builds a node twice"
        assert len(tests) == len(set(tests)), "a run tests something twice"
        pending = set(nodes)
        while pending:
            ready = {node for node in pending if not self._project.parents(node) & pending}
            assert ready, "a cycle"
            for node in ready:
                self._execute(node)
            self.tables |= ready
            pending -= ready
        for test in tests:
            self._execute(test)

    def _execute(self, one: str) -> None:
        missing = self._project.parents(one) - self.tables
        assert not missing, f"{one} reads {missing}, which does not exist"
        self.executed[one] += 1


def everything_once(project: Project) -> dict[str, int]:
    return dict.fromkeys([*project.built, *project.tests], 1)


# --- the properties ---------------------------------------------------------------------------------------------


@settings(
    deadline=None,  # a slow machine is no failure
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(projects(), st.data())
def test_every_node_and_test_runs_once_in_order_or_a_problem_says_why(project: Project, data: st.DataObject) -> None:
    plan = project.plan()
    event(f"problems: {', '.join(sorted({problem.code for problem in plan.problems})) or 'none'}")
    problems_are_true_and_complete(project, plan)
    if not {problem.code for problem in plan.problems} - {"cycle-between-groups"}:
        stages_run_everything_once_in_a_valid_order(project, plan)
    if plan.problems:
        return
    event(f"no problems, on_overlap: {project.on_overlap.value}")
    every_node_and_test_is_in_one_group(project, plan)
    a_first_run_of_all_groups_works_without_cycles(project, plan)
    stages_of_a_part_of_the_project_have_a_valid_order(project, plan, data)
    each_test_runs_in_the_group_that_completes_its_data(project, plan)
    refreshed_nodes_are_tested_if_the_data_is_complete(project, plan)
    a_run_waits_for_upstream_runs_except_reads_previous(project, plan)


def every_node_and_test_is_in_one_group(project: Project, plan: Plan) -> None:
    assert sorted(part.group.name for part in plan.groups) == sorted(one.name for one in project.groups)
    assert Counter(node for part in plan.groups for node in part.nodes) == dict.fromkeys(project.built, 1)
    assert Counter(test.unique_id for part in plan.groups for test in part.tests) == dict.fromkeys(project.tests, 1)
    units = Counter(test for part in plan.groups for test in part.unit_tests)
    assert units == dict.fromkeys(project.unit_tests, 1)
    for part in plan.groups:
        assert set(part.nodes) == {node for node in project.built if project.owner(node) == part.group.name}
        assert set(part.refreshes) == project.builds(part.group.name) - set(part.nodes)


def a_first_run_of_all_groups_works_without_cycles(project: Project, plan: Plan) -> None:
    if has_cycle(project, with_previous=True):
        return
    event("a first run of all groups, one after the other")
    warehouse = Warehouse(project)
    for part in plan.groups:
        tests = [*(test.unique_id for test in part.tests), *part.refreshed_tests]
        warehouse.run([*part.nodes, *part.refreshes], tests)
    refreshed = Counter(one for part in plan.groups for one in (*part.refreshes, *part.refreshed_tests))
    assert warehouse.executed - refreshed == everything_once(project)


def problems_are_true_and_complete(project: Project, plan: Plan) -> None:
    problems: dict[str, list[Problem]] = {}
    for problem in plan.problems:
        problems.setdefault(problem.code, []).append(problem)
        assert problem.message
        assert problem.remedy
    in_several = {node for node in project.built if len(project.selecting(node)) > 1}
    told = [node.split()[0] for problem in problems.pop("node-in-several-groups", ()) for node in problem.nodes]
    assert sorted(told) == sorted(in_several if project.on_overlap is OnOverlap.ERROR else ())
    lost = [node for node in project.built if project.owner(node) is None]
    assert sorted(node for problem in problems.pop("node-in-no-group", ()) for node in problem.nodes) == sorted(lost)
    with_vars = [one for one in project.groups if one.variables and project.changed]
    changes = problems.pop("vars-change-nodes", [])
    assert len(changes) == len(with_vars)
    for problem in changes:
        assert {node.split()[0] for node in problem.nodes} == project.changed
    cycles = problems.pop("cycle-between-groups", [])
    assert bool(cycles) == has_cycle(project, with_previous=False)
    for problem in cycles:
        cycle_is_true(project, problem)
    if cycles:
        corrected = with_remedies_applied(project, cycles)
        assert not has_cycle(corrected, with_previous=False)
        assert all(problem.code != "cycle-between-groups" for problem in corrected.plan().problems)
    assert not problems, "unexpected problems"


def cycle_is_true(project: Project, problem: Problem) -> None:
    ways = []
    for line in problem.nodes:
        child, downstream, verb, parent, upstream = line.split()
        assert verb == "reads"
        downstream, upstream = downstream.strip("()"), upstream.strip("()")
        assert child in project.builds(downstream)
        assert parent in project.parents(child) - project.builds(downstream)
        assert project.owner(parent) == upstream
        assert upstream not in project.previous(downstream)
        ways.append((upstream, downstream))
    path = [ways[0][0], *(downstream for _, downstream in ways)]
    assert ways == list(itertools.pairwise(path))
    assert path[0] == path[-1]
    assert " -> ".join(path) in problem.message


def with_remedies_applied(project: Project, cycles: Sequence[Problem]) -> Project:
    """Return the project with the remedies of its cycles applied."""
    meant = {one.name: set(one.reads_previous) for one in project.groups}
    for problem in cycles:
        upstream, downstream = re.findall(r"`reads_previous: \[(\w)\]` at (\w)\.", problem.remedy)[0]
        meant[downstream].add(upstream)
    groups = tuple(one.model_copy(update={"reads_previous": tuple(sorted(meant[one.name]))}) for one in project.groups)
    return replace(project, groups=groups)


def has_cycle(project: Project, *, with_previous: bool) -> bool:
    """Return whether groups wait for each other, by Warshall's transitive closure."""
    names = [one.name for one in project.groups]
    waits = {
        (name, project.owner(parent))
        for name in names
        for child in project.builds(name)
        for parent in project.parents(child) - project.builds(name)
        if with_previous or project.owner(parent) not in project.previous(name)
    }
    for middle, first, last in itertools.product(names, repeat=3):
        if (first, middle) in waits and (middle, last) in waits:
            waits.add((first, last))
    return any((name, name) in waits for name in names)


def stages_run_everything_once_in_a_valid_order(project: Project, plan: Plan) -> None:
    if has_cycle(project, with_previous=True):
        event(f"a cycle of groups that is {'a problem' if plan.problems else 'meant'}")
    warehouse = Warehouse(project)
    found = stages(plan, project.manifest.graph, frozenset(project.built), frozenset(project.tests))
    for stage in found:
        warehouse.run(stage.nodes, stage.tests)
        assert stage.nodes or stage.tests
        assert {project.owner(node) for node in stage.nodes} <= {stage.group}
        own_tests = {test.unique_id for test in plan.by_name[stage.group].tests}
        assert stage.tests <= own_tests
    assert warehouse.executed == everything_once(project)
    if project.on_overlap is not OnOverlap.ALL and not has_cycle(project, with_previous=True):
        busy = [part.group.name for part in plan.groups if part.nodes or part.tests]
        assert [stage.group for stage in found] == busy, "each group once, in the plan's order"


def stages_of_a_part_of_the_project_have_a_valid_order(project: Project, plan: Plan, data: st.DataObject) -> None:
    everything = [*project.built, *project.tests]
    chosen = data.draw(st.sets(st.sampled_from(everything))) if everything else set()
    nodes, tests = frozenset(chosen & set(project.built)), frozenset(chosen & set(project.tests))
    warehouse = Warehouse(project)
    warehouse.tables = set(project.built) - nodes
    for stage in stages(plan, project.manifest.graph, nodes, tests):
        warehouse.run(stage.nodes, stage.tests)
    assert warehouse.executed == dict.fromkeys(chosen, 1)


def each_test_runs_in_the_group_that_completes_its_data(project: Project, plan: Plan) -> None:
    place = {part.group.name: index for index, part in enumerate(plan.groups)}
    for part in plan.groups:
        for test in part.tests:
            reads = project.reads(test.unique_id)
            assert test.reads == reads
            owners = {project.owner(node) for node in project.parents(test.unique_id)}
            readers = {project.owner(node) for node in project.built if project.reads(node) & reads}
            if owners:
                assert part.group.name == max(owners, key=lambda name: place[str(name)])
            elif readers:
                assert part.group.name == min(readers, key=lambda name: place[str(name)])
            elif project.selecting(test.unique_id):
                assert part.group.name == project.selecting(test.unique_id)[0]
            if reads:
                # A test of sources alone is a check of a source, even if the source is a built node's table.
                declared = project.declared(test.unique_id)
                candidates = declared if declared <= project.manifest.sources.keys() else reads
                assert test.node in candidates
                attached = project.attached[test.unique_id]
                assert test.node == attached or attached not in candidates
                assert test.node in part.nodes or test.node == attached or not candidates & set(part.nodes)
            else:
                assert (test.node in part.nodes) if part.nodes else test.node is None


def refreshed_nodes_are_tested_if_the_data_is_complete(project: Project, plan: Plan) -> None:
    event(f"any refreshes: {any(part.refreshes for part in plan.groups)}")
    for part in plan.groups:
        builds = project.builds(part.group.name)
        own = {test.unique_id for test in part.tests}
        assert not own & set(part.refreshed_tests)
        there = builds.union(*(project.builds(name) for name in plan.before(part.group.name)))
        for test in set(project.tests) - own:
            parents = project.parents(test)
            if test in part.refreshed_tests:
                assert parents & set(part.refreshes)
                assert parents <= there
            elif parents & set(part.refreshes):
                assert not parents <= builds


def a_run_waits_for_upstream_runs_except_reads_previous(project: Project, plan: Plan) -> None:
    for index, part in enumerate(plan.groups):
        name, before = part.group.name, set(plan.before(part.group.name))
        earlier = plan.groups[:index]
        assert before <= {other.group.name for other in earlier}, "no group waits for itself or in a cycle"
        assert all(set(plan.before(other)) < before for other in before)
        builds = project.builds(name)
        read = {parent for node in builds for parent in project.parents(node)} - builds
        tested = {parent for test in part.tests for parent in project.parents(test.unique_id)} - builds
        needed = {str(project.owner(node)) for node in read | tested}
        # A third group that refreshes a parent, or builds the same node, also comes first if possible.
        needed |= {other.group.name for other in earlier if project.builds(other.group.name) & (read | builds)}
        assert needed - project.previous(name) <= before
