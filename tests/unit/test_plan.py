"""The plan: every node and every test in exactly one group, proved on small manifests made by hand and by chance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_dagster.dbt_process import Selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.transform.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.transform.plan import Plan, make_plan, with_checked_nodes


class Manifest:
    """Builds the few parts of a manifest that a plan is made of; each name is also the tag that a group selects."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.unit_tests: dict[str, dict[str, Any]] = {}
        self.tagged: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        """Show what a failing example is made of."""
        reads = {name: node["depends_on"].get("nodes", []) for name, node in self.nodes.items()}
        return f"Manifest({reads}, tagged={self.tagged})"

    def model(self, name: str, *reads: str, tag: str | Iterable[str] = (), materialized: str = "table") -> Manifest:
        """Add a model; `tag` names the groups that select it."""
        return self._node(f"model.p.{name}", "model", reads, tag, materialized=materialized)

    def seed(self, name: str, *, tag: str | Iterable[str] = ()) -> Manifest:
        """Add a seed."""
        self._node(f"seed.p.{name}", "seed", (), tag)
        # A seed's dependencies have macros alone.
        self.nodes[f"seed.p.{name}"]["depends_on"] = {"macros": []}
        return self

    def snapshot(self, name: str, *reads: str, tag: str | Iterable[str] = ()) -> Manifest:
        """Add a snapshot."""
        return self._node(f"snapshot.p.{name}", "snapshot", reads, tag, materialized="snapshot")

    def source(self, name: str) -> Manifest:
        """Add a table of the source `s`."""
        self.sources[f"source.p.s.{name}"] = {"unique_id": f"source.p.s.{name}"}
        return self

    def test(self, name: str, *reads: str, beside: str | None = None) -> Manifest:
        """Add a data test, written beside a node or singular."""
        self._node(f"test.p.{name}", "test", reads, ())
        self.nodes[f"test.p.{name}"]["attached_node"] = beside
        return self

    def unit_test(self, name: str, model: str) -> Manifest:
        """Add a unit test of a model."""
        self.unit_tests[f"unit_test.p.{name}"] = {"depends_on": {"nodes": [model]}}
        return self

    def _node(
        self, unique_id: str, kind: str, reads: Sequence[str], tag: str | Iterable[str], **config: Any
    ) -> Manifest:
        self.nodes[unique_id] = {
            "unique_id": unique_id,
            "resource_type": kind,
            "config": config,
            "depends_on": {"nodes": list(reads), "macros": []},
        }
        for one in [tag] if isinstance(tag, str) else tag:
            self.tagged.setdefault(one, set()).add(unique_id)
        return self

    def plan(self, *groups: ScheduleGroup) -> Plan:
        """Plan it for groups that select by their names."""
        content = {"nodes": self.nodes, "sources": self.sources, "unit_tests": self.unit_tests}
        selected = {group.selection: frozenset(self.tagged.get(group.name, ())) for group in groups}
        return make_plan(ScheduleGroups(groups=groups), content, selected)


def group(name: str, *, default: bool = False) -> ScheduleGroup:
    return ScheduleGroup(name=name, select=f"tag:{name}", default=default)


A, B, C = group("a"), group("b"), group("c")
REST = group("rest", default=True)


def nodes_of(plan: Plan) -> Mapping[str, list[str]]:
    return {part.group.name: [node.split(".")[-1] for node in part.nodes] for part in plan.groups}


def checks_of(plan: Plan) -> Mapping[str, list[tuple[str, str]]]:
    """By group: each test and what it is a check of, by their last names."""
    return {
        part.group.name: [(test.unique_id.split(".")[-1], test.node.split(".")[-1]) for test in part.tests]
        for part in plan.groups
    }


# --- nodes --------------------------------------------------------------------------------------------------


def test_each_node_is_in_the_group_that_selects_it() -> None:
    manifest = Manifest().seed("s", tag="a").model("x", "seed.p.s", tag="a").snapshot("h", "model.p.x", tag="b")
    plan = manifest.plan(A, B)
    assert nodes_of(plan) == {"a": ["x", "s"], "b": ["h"]}
    assert plan.group_of == {"seed.p.s": "a", "model.p.x": "a", "snapshot.p.h": "b"}
    assert plan.require() is plan


def test_a_node_in_no_group_is_a_problem_that_names_every_such_node_and_the_remedy() -> None:
    plan = Manifest().model("x", tag="a").model("y").seed("z").plan(A)
    (problem,) = plan.problems
    assert problem.code == "node-in-no-group"
    assert problem.nodes == ("model.p.y", "seed.p.z")
    with pytest.raises(ScheduleGroupError, match=r"(?s)no schedule group.*model\.p\.y.*seed\.p\.z") as raised:
        plan.require()
    assert "default: true" in raised.value.remedy


def test_the_default_group_takes_every_node_that_no_other_selects() -> None:
    plan = Manifest().model("x", tag="a").model("y").seed("z").plan(A, REST).require()
    assert nodes_of(plan) == {"a": ["x"], "rest": ["y", "z"]}


def test_the_default_group_takes_what_it_selects_too() -> None:
    plan = Manifest().model("x", tag="rest").model("y").plan(REST).require()
    assert nodes_of(plan) == {"rest": ["x", "y"]}


def test_a_node_in_two_groups_is_an_error_that_names_it_and_them() -> None:
    plan = Manifest().model("x", tag=["a", "b"]).model("y", tag=["b", "rest"]).model("z", tag="a").plan(A, B, REST)
    (problem,) = plan.problems
    assert problem.code == "node-in-several-groups"
    assert problem.nodes == ("model.p.x (a, b)", "model.p.y (b, rest)")
    with pytest.raises(ScheduleGroupError, match=r"model\.p\.x \(a, b\)"):
        plan.require()


def test_all_problems_are_told_at_once() -> None:
    plan = Manifest().model("x", tag=["a", "b"]).model("y").plan(A, B)
    with pytest.raises(ScheduleGroupError, match=r"(?s)more than one schedule group.*no schedule group"):
        plan.require()


def test_an_ephemeral_model_is_in_no_group_and_is_missed_by_none() -> None:
    plan = Manifest().model("e", materialized="ephemeral").model("x", "model.p.e", tag="a").plan(A).require()
    assert nodes_of(plan) == {"a": ["x"]}


def test_a_group_that_selects_nothing_is_in_the_plan_and_empty() -> None:
    assert nodes_of(Manifest().model("x", tag="a").plan(A, B).require()) == {"a": ["x"], "b": []}


def test_an_empty_project_has_a_plan() -> None:
    assert nodes_of(Manifest().plan(A).require()) == {"a": []}


# --- edges and order ----------------------------------------------------------------------------------------


def test_groups_come_upstream_first_whatever_their_order_in_the_file() -> None:
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").model("z", "model.p.y", tag="c")
    assert list(nodes_of(manifest.plan(C, B, A).require())) == ["a", "b", "c"]


def test_groups_that_do_not_wait_for_each_other_keep_the_files_order() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").model("z", tag="c")
    assert list(nodes_of(manifest.plan(B, C, A).require())) == ["b", "c", "a"]


def test_an_edge_shows_one_pair_of_nodes_that_makes_it() -> None:
    plan = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").plan(A, B)
    (edge,) = plan.edges
    assert (edge.upstream, edge.downstream, edge.parent, edge.child) == ("a", "b", "model.p.x", "model.p.y")


def test_an_edge_goes_through_ephemeral_models_however_many() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("e", "model.p.x", materialized="ephemeral")
        .model("f", "model.p.e", "model.p.x", materialized="ephemeral")
        .model("y", "model.p.f", tag="b")
    )
    (edge,) = manifest.plan(A, B).require().edges
    assert (edge.parent, edge.child) == ("model.p.x", "model.p.y")


def test_a_cycle_between_groups_is_a_problem_explained_by_the_nodes_on_its_path() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .model("z", "model.p.y", tag="c")
        .model("w", "model.p.z", tag="a")
    )
    plan = manifest.plan(A, B, C)
    (problem,) = plan.problems
    assert problem.code == "cycle-between-groups"
    assert set(problem.nodes) == {
        "model.p.y (b) reads model.p.x (a)",
        "model.p.z (c) reads model.p.y (b)",
        "model.p.w (a) reads model.p.z (c)",
    }
    with pytest.raises(ScheduleGroupError, match=r"wait for each other: \w -> \w -> \w -> \w"):
        plan.require()


# --- tests --------------------------------------------------------------------------------------------------


def test_a_test_is_a_check_of_the_node_beside_which_it_is_written() -> None:
    plan = Manifest().model("x", tag="a").test("t", "model.p.x", beside="model.p.x").plan(A).require()
    assert checks_of(plan) == {"a": [("t", "x")]}


@pytest.mark.parametrize(("beside", "other"), [("x", "y"), ("y", "x")])
def test_a_test_that_crosses_groups_is_run_by_the_last_of_them(beside: str, other: str) -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .test("t", f"model.p.{beside}", f"model.p.{other}", beside=f"model.p.{beside}")
    )
    plan = manifest.plan(B, A).require()
    assert checks_of(plan) == {"a": [], "b": [("t", beside)]}
    assert plan.tests["test.p.t"].reads == {"model.p.x", "model.p.y"}


def test_a_test_of_a_source_is_run_by_the_first_group_that_reads_the_source() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("x", tag="a")
        .model("y", "model.p.x", "source.p.s.raw", tag="b")
        .model("z", "model.p.y", "source.p.s.raw", tag="c")
        .test("t", "source.p.s.raw", beside="source.p.s.raw")
    )
    assert checks_of(manifest.plan(C, B, A).require()) == {"a": [], "b": [("t", "raw")], "c": []}


def test_a_source_that_is_read_through_an_ephemeral_model_is_read() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("e", "source.p.s.raw", materialized="ephemeral")
        .model("x", tag="a")
        .model("y", "model.p.e", tag="b")
        .test("t", "source.p.s.raw")
    )
    assert checks_of(manifest.plan(A, B).require()) == {"a": [], "b": [("t", "raw")]}


@pytest.mark.parametrize(("groups", "runs_it"), [((A, B, REST), "rest"), ((A, B), "a")])
def test_a_test_of_a_source_that_nobody_reads_is_run_by_the_default_group_or_the_first(
    groups: tuple[ScheduleGroup, ...], runs_it: str
) -> None:
    manifest = Manifest().source("raw").model("x", tag="a").model("y", tag="b").test("t", "source.p.s.raw")
    assert checks_of(manifest.plan(*groups).require())[runs_it] == [("t", "raw")]


def test_a_singular_test_is_a_check_of_the_last_node_that_it_reads() -> None:
    manifest = (
        Manifest()
        .model("z", tag="a")
        .model("y", "model.p.z", tag="a")
        .model("x", "model.p.y", tag="b")
        .test("t", "model.p.x", "model.p.y", "model.p.z")
    )
    assert checks_of(manifest.plan(A, B).require()) == {"a": [], "b": [("t", "x")]}


def test_a_test_of_an_ephemeral_model_is_a_check_of_what_that_reads() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .model("e", "model.p.x", "model.p.y", materialized="ephemeral")
        .test("t", "model.p.e", beside="model.p.e")
    )
    plan = manifest.plan(A, B).require()
    assert checks_of(plan) == {"a": [], "b": [("t", "y")]}
    assert plan.tests["test.p.t"].reads == {"model.p.x", "model.p.y"}


def test_a_test_between_a_node_and_a_source_is_run_by_the_nodes_group() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("w", "source.p.s.raw", tag="a")
        .model("x", "model.p.w", tag="b")
        .test("t", "source.p.s.raw", "model.p.x", beside="source.p.s.raw")
    )
    assert checks_of(manifest.plan(A, B).require()) == {"a": [], "b": [("t", "raw")]}


def test_a_test_that_reads_nothing_is_run_all_the_same() -> None:
    # `select 1 where …` without a `ref`: dbt runs it, so a plan that drops it would drop a check in silence.
    plan = Manifest().model("w", tag="a").model("x", "model.p.w", tag="a").test("t").plan(A).require()
    assert checks_of(plan) == {"a": [("t", "x")]}
    assert plan.tests["test.p.t"].reads == frozenset()


def test_a_test_that_reads_nothing_is_not_lost_where_the_default_group_is_empty() -> None:
    plan = Manifest().model("x", tag="a").test("t").plan(REST, A).require()
    assert checks_of(plan) == {"rest": [], "a": [("t", "x")]}


def test_a_unit_test_is_run_by_its_models_group() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").unit_test("u", "model.p.y")
    assert [part.unit_tests for part in manifest.plan(A, B).require().groups] == [(), ("unit_test.p.u",)]


def test_dagster_dbt_is_given_each_test_with_the_one_node_that_it_is_a_check_of() -> None:
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").test("t", "model.p.x", "model.p.y")
    content = {"nodes": manifest.nodes, "sources": {}}
    changed = with_checked_nodes(content, manifest.plan(A, B))
    assert changed["nodes"]["test.p.t"]["depends_on"]["nodes"] == ["model.p.y"]
    assert content["nodes"]["test.p.t"]["depends_on"]["nodes"] == ["model.p.x", "model.p.y"], "the original is kept"


# --- of every project ---------------------------------------------------------------------------------------

_ANOTHER_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from test_plan import plan_that_sets_could_shuffle
print(plan_that_sets_could_shuffle())
"""


def plan_that_sets_could_shuffle() -> list[object]:
    """Show the plan of many groups that do not wait for each other, with tests that any of them could run."""
    names = [f"n{place}" for place in range(8)]
    manifest = Manifest().source("raw").test("raw", "source.p.s.raw")
    for name in names:
        manifest.model(name, "source.p.s.raw", tag=name)
    everything = [f"model.p.{name}" for name in names]
    manifest.model("top", *everything, tag="a").test("all", *everything)
    plan = manifest.plan(A, *map(group, names))
    return [(part.group.name, part.nodes, checks_of(plan)[part.group.name]) for part in plan.groups]


def test_every_process_makes_the_same_plan() -> None:
    # Each run is a process of its own: if it put a test elsewhere than the UI's, Dagster would not find it there.
    other = subprocess.run(
        [sys.executable, "-c", _ANOTHER_PROCESS, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == str(plan_that_sets_could_shuffle())


@st.composite
def manifests(draw: st.DrawFn) -> tuple[Manifest, tuple[ScheduleGroup, ...]]:
    """Any project: sources, seeds, snapshots, models of every kind, each tagged or not; tests on any of them."""
    others = draw(st.permutations([A, B, C]))[: draw(st.integers(0, 3))]
    default_place = draw(st.integers(0, len(others)))
    groups = (*others[:default_place], REST, *others[default_place:])
    manifest = Manifest()
    known: list[str] = []
    for place in range(draw(st.integers(0, 3))):
        manifest.source(f"s{place}")
        known.append(f"source.p.s.s{place}")
    for place in range(draw(st.integers(0, 8))):
        reads = draw(st.lists(st.sampled_from(known), max_size=3, unique=True)) if known else []
        kind = draw(st.sampled_from(["table", "view", "incremental", "ephemeral", "seed", "snapshot"]))
        tag = () if kind == "ephemeral" else draw(st.sampled_from([(), *({one.name} for one in groups)]))
        if kind == "seed":
            manifest.seed(f"n{place}", tag=tag)
        elif kind == "snapshot":
            manifest.snapshot(f"n{place}", *reads, tag=tag)
        else:
            manifest.model(f"n{place}", *reads, tag=tag, materialized=kind)
        known.append(next(reversed(manifest.nodes)))
    for place in range(draw(st.integers(0, 6)) if known else 0):
        reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        manifest.test(f"t{place}", *reads, beside=draw(st.sampled_from([None, *reads])))
    return manifest, groups


def _is_ephemeral(node: Mapping[str, Any]) -> bool:
    return bool(node["config"].get("materialized") == "ephemeral")


@settings(deadline=None)  # a busy machine is no error
@given(manifests())
def test_with_a_default_group_every_node_and_every_test_is_in_exactly_one_group_and_groups_come_in_order(
    made: tuple[Manifest, tuple[ScheduleGroup, ...]],
) -> None:
    manifest, groups = made
    plan = manifest.plan(*groups)
    assert {problem.code for problem in plan.problems} <= {"cycle-between-groups"}
    built = {
        name for name, node in manifest.nodes.items() if node["resource_type"] != "test" and not _is_ephemeral(node)
    }
    assert Counter(node for part in plan.groups for node in part.nodes) == dict.fromkeys(built, 1)
    tests = {name for name, node in manifest.nodes.items() if node["resource_type"] == "test"}
    # A test that reads nothing can be shown on any asset, but not where there is none at all.
    shown = tests if built else plan.tests.keys()
    assert Counter(test.unique_id for part in plan.groups for test in part.tests) == dict.fromkeys(shown, 1)
    assert all(test.node in {*built, *manifest.sources} for test in plan.tests.values())
    assert sorted(part.group.name for part in plan.groups) == sorted(one.name for one in groups)
    order = [part.group.name for part in plan.groups]
    if not plan.problems:
        assert all(order.index(edge.upstream) < order.index(edge.downstream) for edge in plan.edges)
        # What a test needs is there when its group runs: nothing that it reads is built later.
        for part in plan.groups:
            owners = {plan.group_of[node] for test in part.tests for node in test.reads if node in plan.group_of}
            assert all(order.index(owner) <= order.index(part.group.name) for owner in owners)
    for edge in plan.edges:
        assert (plan.group_of[edge.parent], plan.group_of[edge.child]) == (edge.upstream, edge.downstream)


def test_two_groups_of_one_selection_are_told_as_nodes_in_two_groups() -> None:
    same = (ScheduleGroup(name="a", select="x"), ScheduleGroup(name="b", select="x"))
    manifest = Manifest().model("x")
    content = {"nodes": manifest.nodes, "sources": {}}
    (problem,) = make_plan(
        ScheduleGroups(groups=same), content, {Selection(select="x"): frozenset({"model.p.x"})}
    ).problems
    assert problem.code == "node-in-several-groups"
