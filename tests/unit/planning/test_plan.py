"""The plan of small manifests: every node and every test is in exactly one group, and problems are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.plan import Plan, Problem
from analytics_dagster.project.parse import Selection
from tests.unit.manifests import Manifest, group

REPOSITORY = Path(__file__).resolve().parents[3]

A, B, C = group("a"), group("b"), group("c")
REST = group("rest", default=True)


def nodes_of(plan: Plan) -> Mapping[str, list[str]]:
    return {part.group.name: [node.split(".")[-1] for node in part.nodes] for part in plan.groups}


def checks_of(plan: Plan) -> Mapping[str, list[tuple[str, str | None]]]:
    """Return, by group, each test and what it is a check of, by their last names."""
    return {
        part.group.name: [(last(test.unique_id), last(test.node) if test.node else None) for test in part.tests]
        for part in plan.groups
    }


def last(unique_id: str) -> str:
    return unique_id.rpartition(".")[2]


def edges_of(plan: Plan) -> list[tuple[str, str, str, str]]:
    """Return each edge: upstream, downstream, and the last names of its parent and child."""
    return [(edge.upstream, edge.downstream, last(edge.parent), last(edge.child)) for edge in plan.edges]


def only_problem(plan: Plan, code: str) -> Problem:
    (problem,) = plan.problems
    assert problem.code == code
    return problem


# --- nodes --------------------------------------------------------------------------------------------------


def test_each_node_is_in_the_group_that_selects_it() -> None:
    manifest = Manifest().seed("s", tag="a").model("x", "seed.p.s", tag="a").snapshot("h", "model.p.x", tag="b")
    plan = manifest.plan(A, B)
    assert nodes_of(plan) == {"a": ["x", "s"], "b": ["h"]}
    assert plan.group_of == {"seed.p.s": "a", "model.p.x": "a", "snapshot.p.h": "b"}
    assert plan.require() is plan


def test_nodes_in_no_group_are_a_problem_that_names_them_all() -> None:
    plan = Manifest().model("x", tag="a").model("y").seed("z").plan(A)
    problem = only_problem(plan, "node-in-no-group")
    assert problem.nodes == ("model.p.y", "seed.p.z")
    with pytest.raises(ScheduleGroupError, match=r"(?s)no schedule group.*model\.p\.y.*seed\.p\.z") as raised:
        plan.require()
    assert "default: true" in raised.value.remedy


def test_the_default_group_gets_every_node_that_no_other_selects() -> None:
    plan = Manifest().model("x", tag="a").model("y").seed("z").plan(A, REST).require()
    assert nodes_of(plan) == {"a": ["x"], "rest": ["y", "z"]}


def test_the_default_group_gets_the_nodes_that_it_selects() -> None:
    plan = Manifest().model("x", tag="rest").model("y").plan(REST).require()
    assert nodes_of(plan) == {"rest": ["x", "y"]}


def test_a_node_in_two_groups_is_an_error() -> None:
    plan = Manifest().model("x", tag=["a", "b"]).model("y", tag=["b", "rest"]).model("z", tag="a").plan(A, B, REST)
    problem = only_problem(plan, "node-in-several-groups")
    assert problem.nodes == ("model.p.x (a, b)", "model.p.y (b, rest)")
    with pytest.raises(ScheduleGroupError, match=r"model\.p\.x \(a, b\)"):
        plan.require()


def test_all_problems_are_reported_together() -> None:
    plan = Manifest().model("x", tag=["a", "b"]).model("y").plan(A, B)
    with pytest.raises(ScheduleGroupError, match=r"(?s)more than one schedule group.*no schedule group"):
        plan.require()


def test_an_ephemeral_model_is_in_no_group() -> None:
    plan = Manifest().model("e", materialized="ephemeral").model("x", "model.p.e", tag="a").plan(A).require()
    assert nodes_of(plan) == {"a": ["x"]}


def test_a_group_that_selects_nothing_is_in_the_plan() -> None:
    assert nodes_of(Manifest().model("x", tag="a").plan(A, B).require()) == {"a": ["x"], "b": []}


def test_an_empty_project_has_a_plan() -> None:
    assert nodes_of(Manifest().plan(A).require()) == {"a": []}


# --- edges and order ----------------------------------------------------------------------------------------


def test_upstream_groups_come_first() -> None:
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").model("z", "model.p.y", tag="c")
    assert list(nodes_of(manifest.plan(C, B, A).require())) == ["a", "b", "c"]


def test_independent_groups_keep_the_files_order() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").model("z", tag="c")
    assert list(nodes_of(manifest.plan(B, C, A).require())) == ["b", "c", "a"]


def test_an_edge_has_one_pair_of_nodes_as_an_example() -> None:
    plan = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").plan(A, B)
    (edge,) = plan.edges
    assert (edge.upstream, edge.downstream, edge.parent, edge.child) == ("a", "b", "model.p.x", "model.p.y")


def test_an_edge_can_pass_through_ephemeral_models() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("e", "model.p.x", materialized="ephemeral")
        .model("f", "model.p.e", "model.p.x", materialized="ephemeral")
        .model("y", "model.p.f", tag="b")
    )
    (edge,) = manifest.plan(A, B).require().edges
    assert (edge.parent, edge.child) == ("model.p.x", "model.p.y")


def test_a_cycle_between_groups_is_a_problem_that_names_its_nodes() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .model("z", "model.p.y", tag="c")
        .model("w", "model.p.z", tag="a")
    )
    plan = manifest.plan(A, B, C)
    problem = only_problem(plan, "cycle-between-groups")
    assert set(problem.nodes) == {
        "model.p.y (b) reads model.p.x (a)",
        "model.p.z (c) reads model.p.y (b)",
        "model.p.w (a) reads model.p.z (c)",
    }
    with pytest.raises(ScheduleGroupError, match=r"wait for each other: \w -> \w -> \w -> \w"):
        plan.require()


def test_a_function_is_in_a_group_and_comes_before_its_callers() -> None:
    manifest = Manifest().function("f", tag="a").model("x", "function.p.f", tag="b")
    plan = manifest.plan(B, A).require()
    assert nodes_of(plan) == {"a": ["f"], "b": ["x"]}
    assert edges_of(plan) == [("a", "b", "f", "x")]


# --- overlaps -----------------------------------------------------------------------------------------------


def both() -> Manifest:
    """Return a plan in which a and b select `x`, with `p` (a) upstream and `y` (b) downstream; each has a test."""
    manifest = Manifest().model("p", tag="a").model("x", "model.p.p", tag=["a", "b"]).model("y", "model.p.x", tag="b")
    for name in "pxy":
        manifest.test(f"t{name}", f"model.p.{name}", beside=f"model.p.{name}")
    return manifest


def test_on_overlap_first_gives_a_node_to_the_first_group() -> None:
    plan = both().plan(A, B, on_overlap=OnOverlap.FIRST).require()
    assert nodes_of(plan) == {"a": ["p", "x"], "b": ["y"]}
    assert [part.refreshes for part in plan.groups] == [(), ()]
    assert edges_of(plan) == [("a", "b", "x", "y")]
    plan = both().plan(B, A, on_overlap=OnOverlap.FIRST)
    assert nodes_of(plan) == {"a": ["p"], "b": ["x", "y"]}
    assert edges_of(plan) == [("a", "b", "p", "x")]


def test_on_overlap_all_refreshes_the_node_and_its_tests_in_every_group() -> None:
    plan = both().plan(A, B, on_overlap=OnOverlap.ALL).require()
    first, second = plan.groups
    assert (first.group.name, first.nodes, first.refreshes) == ("a", ("model.p.p", "model.p.x"), ())
    assert (second.nodes, second.refreshes) == (("model.p.y",), ("model.p.x",))
    assert checks_of(plan) == {"a": [("tp", "p"), ("tx", "x")], "b": [("ty", "y")]}
    assert (first.refreshed_tests, second.refreshed_tests) == ((), ("test.p.tx",))
    assert second.builds == {"model.p.x", "model.p.y"}
    assert plan.group_of["model.p.x"] == "a"


def test_a_group_reads_the_parents_of_its_refreshed_nodes_too() -> None:
    plan = both().plan(A, B, on_overlap=OnOverlap.ALL).require()
    assert edges_of(plan) == [("a", "b", "p", "x")], "y reads the x that its own run has made"


def test_a_group_does_not_wait_for_nodes_that_it_refreshes() -> None:
    manifest = Manifest().model("x", tag=["a", "b"]).model("y", "model.p.x", tag=["a", "b"])
    plan = manifest.plan(A, B, on_overlap=OnOverlap.ALL).require()
    assert plan.edges == ()
    assert plan.by_name["b"].refreshes == ("model.p.x", "model.p.y")


def test_a_group_waits_for_earlier_groups_that_build_the_same_node() -> None:
    plan = Manifest().model("x", tag=["a", "b", "c"]).plan(A, B, C, on_overlap=OnOverlap.ALL).require()
    assert [plan.before(name) for name in "abc"] == [(), ("a",), ("a", "b")]


def test_a_group_waits_for_all_groups_that_refresh_what_it_reads() -> None:
    manifest = Manifest().model("x", tag=["a", "b"]).model("y", "model.p.x", tag="c")
    plan = manifest.plan(C, A, B, on_overlap=OnOverlap.ALL).require()
    assert edges_of(plan) == [("a", "c", "x", "y"), ("b", "c", "x", "y")]
    assert list(nodes_of(plan)) == ["a", "b", "c"]
    assert plan.before("c") == ("a", "b")


def test_a_refresh_that_reads_from_its_reader_is_no_cycle() -> None:
    # b refreshes x for itself, after c, which reads the x of a.
    manifest = Manifest().model("x", tag=["a", "b"]).model("y", "model.p.x", tag="c").model("z", "model.p.y", tag="b")
    plan = manifest.plan(A, B, C, on_overlap=OnOverlap.ALL).require()
    assert list(nodes_of(plan)) == ["a", "c", "b"]
    assert edges_of(plan) == [("a", "c", "x", "y"), ("c", "b", "y", "z")]


def test_a_refreshed_nodes_test_that_reads_a_later_group_does_not_run_with_the_refresh() -> None:
    manifest = (
        Manifest()
        .model("x", tag=["a", "b"])
        .model("late", tag="c")
        .test("alone", "model.p.x")
        .test("crossing", "model.p.x", "model.p.late")
    )
    plan = manifest.plan(A, B, C, on_overlap=OnOverlap.ALL).require()
    assert plan.by_name["b"].refreshed_tests == ("test.p.alone",)
    assert checks_of(plan)["c"] == [("crossing", "late")]


def test_a_refreshed_nodes_test_that_reads_an_earlier_group_runs_with_the_refresh() -> None:
    manifest = Manifest().model("x", tag=["a", "b"]).model("w", tag="a").test("crossing", "model.p.x", "model.p.w")
    plan = manifest.plan(A, B, on_overlap=OnOverlap.ALL).require()
    assert plan.by_name["b"].refreshed_tests == ("test.p.crossing",)


def test_without_overlaps_nothing_is_refreshed() -> None:
    plan = Manifest().model("x", tag="a").model("y").plan(A, REST, on_overlap=OnOverlap.ALL).require()
    assert [part.refreshes for part in plan.groups] == [(), ()]
    assert plan.before("rest") == ()


# --- reads_previous ---------------------------------------------------------


def circle() -> Manifest:
    """Return a cycle between the groups a and b: y (b) reads x (a), z (a) reads y (b)."""
    return Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").model("z", "model.p.y", tag="a")


def test_reads_previous_allows_a_cycle() -> None:
    plan = circle().plan(group("a", reads_previous=("b",)), B).require()
    assert list(nodes_of(plan)) == ["a", "b"]
    assert [(edge.upstream, edge.downstream, edge.previous) for edge in plan.edges] == [
        ("a", "b", False),
        ("b", "a", True),
    ]
    assert (plan.before("a"), plan.before("b")) == ((), ("a",))


def test_a_cycle_with_reads_previous_at_both_ends_keeps_the_files_order() -> None:
    plan = circle().plan(group("b", reads_previous=("a",)), group("a", reads_previous=("b",))).require()
    assert list(nodes_of(plan)) == ["b", "a"]
    assert (plan.before("a"), plan.before("b")) == ((), ())


def test_a_group_that_reads_previous_tables_still_comes_later_if_possible() -> None:
    # So that a first build of all groups, one after the other, works.
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b")
    plan = manifest.plan(group("b", reads_previous=("a",)), A).require()
    assert list(nodes_of(plan)) == ["a", "b"]
    assert plan.before("b") == ()


def test_reads_previous_also_applies_to_edges_of_tests() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").test("t", "model.p.x", "model.p.y")
    plan = manifest.plan(A, group("b", reads_previous=("a",))).require()
    assert [(edge.upstream, edge.downstream, edge.previous) for edge in plan.edges] == [("a", "b", True)]
    assert plan.before("b") == ()


def test_reads_previous_also_applies_to_refreshed_nodes() -> None:
    manifest = Manifest().model("x", tag=["a", "b"])
    plan = manifest.plan(A, group("b", reads_previous=("a",)), on_overlap=OnOverlap.ALL).require()
    assert plan.before("b") == ()


def test_every_cycle_is_reported_and_the_remedies_resolve_them() -> None:
    manifest = circle().model("v", tag="c").model("w", "model.p.v", tag="rest").model("u", "model.p.w", tag="c")
    plan = manifest.plan(A, B, C, REST)
    assert [problem.code for problem in plan.problems] == ["cycle-between-groups"] * 2
    assert [part.group.name for part in plan.groups] == list(dict.fromkeys(part.group.name for part in plan.groups))
    remedies = [problem.remedy.split("`")[1] + problem.remedy.rsplit(" at ", 1)[1] for problem in plan.problems]
    assert remedies == ["reads_previous: [b]a.", "reads_previous: [rest]c."]
    mended = (group("a", reads_previous=("b",)), B, group("c", reads_previous=("rest",)), REST)
    assert manifest.plan(*mended).require()


# --- waiting -------------------------------------------------------------------------------------


def test_a_group_waits_for_direct_and_indirect_upstream_groups_in_order() -> None:
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x", tag="b").model("z", "model.p.y", tag="c")
    plan = manifest.model("other", tag="rest").plan(C, REST, B, A).require()
    assert [plan.before(name) for name in ("a", "b", "c", "rest")] == [(), ("a",), ("a", "b"), ()]


def test_a_test_of_two_groups_makes_the_later_group_wait() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").test("t", "model.p.x", "model.p.y")
    plan = manifest.plan(B, A).require()
    assert edges_of(plan) == [("b", "a", "y", "t")]
    assert checks_of(plan) == {"b": [], "a": [("t", "x")]}, "a check of what its own group builds"
    assert (plan.before("a"), plan.before("b")) == (("b",), ())


# --- seeds and models that are read as sources ---------------------------------------------------------------


def test_a_group_that_reads_a_seed_as_a_source_comes_after_it() -> None:
    manifest = (
        Manifest().seed("rates", tag="a").source("rates", relation="RATES").model("x", "source.p.s.rates", tag="b")
    )
    plan = manifest.plan(B, A).require()
    assert list(nodes_of(plan)) == ["a", "b"]
    assert edges_of(plan) == [("a", "b", "rates", "x")]


def test_a_test_of_a_source_that_is_a_seed_runs_in_the_seeds_group() -> None:
    manifest = Manifest().seed("rates", tag="a").source("rates", relation="rates").model("x", tag="b")
    manifest.test("t", "source.p.s.rates", beside="source.p.s.rates")
    plan = manifest.plan(B, A).require()
    assert checks_of(plan) == {"b": [], "a": [("t", "rates")]}
    assert plan.tests["test.p.t"].node == "source.p.s.rates"
    assert plan.tests["test.p.t"].reads == {"source.p.s.rates", "seed.p.rates"}


# --- tests --------------------------------------------------------------------------------------------------


def test_a_test_is_a_check_of_the_node_that_it_is_attached_to() -> None:
    plan = Manifest().model("x", tag="a").test("t", "model.p.x", beside="model.p.x").plan(A).require()
    assert checks_of(plan) == {"a": [("t", "x")]}


@pytest.mark.parametrize(("beside", "other"), [("x", "y"), ("y", "x")])
def test_a_test_that_crosses_groups_runs_in_the_last_of_them(beside: str, other: str) -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .test("t", f"model.p.{beside}", f"model.p.{other}", beside=f"model.p.{beside}")
    )
    plan = manifest.plan(B, A).require()
    assert checks_of(plan) == {"a": [], "b": [("t", beside)]}
    assert plan.tests["test.p.t"].reads == {"model.p.x", "model.p.y"}


def test_a_test_of_a_source_runs_in_the_first_group_that_reads_it() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("x", tag="a")
        .model("y", "model.p.x", "source.p.s.raw", tag="b")
        .model("z", "model.p.y", "source.p.s.raw", tag="c")
        .test("t", "source.p.s.raw", beside="source.p.s.raw")
    )
    assert checks_of(manifest.plan(C, B, A).require()) == {"a": [], "b": [("t", "raw")], "c": []}


def test_a_source_can_be_read_through_an_ephemeral_model() -> None:
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
def test_a_test_of_an_unread_source_runs_in_the_default_or_first_group(
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


def test_a_test_of_an_ephemeral_model_is_a_check_of_its_parent() -> None:
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


def test_a_test_of_a_node_and_a_source_runs_in_the_nodes_group() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("w", "source.p.s.raw", tag="a")
        .model("x", "model.p.w", tag="b")
        .test("t", "source.p.s.raw", "model.p.x", beside="source.p.s.raw")
    )
    assert checks_of(manifest.plan(A, B).require()) == {"a": [], "b": [("t", "raw")]}


def test_a_test_that_reads_nothing_runs() -> None:
    # `select 1 where …` without a `ref`: dbt runs it, so a plan without it would silently lose a check.
    plan = Manifest().model("w", tag="a").model("x", "model.p.w", tag="a").test("t").plan(A).require()
    assert checks_of(plan) == {"a": [("t", "x")]}
    assert plan.tests["test.p.t"].reads == frozenset()


def test_a_test_that_reads_nothing_runs_even_if_the_default_group_is_empty() -> None:
    plan = Manifest().model("x", tag="a").test("t").plan(REST, A).require()
    assert checks_of(plan) == {"rest": [], "a": [("t", "x")]}


def test_a_unit_test_runs_in_its_models_group() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").unit_test("u", "model.p.y")
    assert [part.unit_tests for part in manifest.plan(A, B).require().groups] == [(), ("unit_test.p.u",)]


def test_without_nodes_a_test_that_reads_nothing_is_no_check() -> None:
    plan = Manifest().test("t").plan(A, REST).require()
    assert checks_of(plan) == {"a": [], "rest": [("t", None)]}
    assert [part.is_empty for part in plan.groups] == [True, False]


@pytest.mark.parametrize("reads", [(), ("source.p.s.raw",)])
def test_a_test_of_no_groups_nodes_runs_in_the_first_group_that_selects_it(
    reads: tuple[str, ...],
) -> None:
    manifest = Manifest().source("raw").model("x", tag="a").model("y", tag="rest").test("t", *reads, tag=["c", "b"])
    plan = manifest.plan(A, B, C, REST).require()
    assert [name for name, checks in checks_of(plan).items() if checks] == ["b"]
    assert plan.warnings[0].message.startswith("The selection of the schedule group c") is False


def test_a_selection_does_not_move_a_test_from_the_group_of_its_data() -> None:
    plan = Manifest().model("x", tag="a").model("y", tag="b").test("t", "model.p.x", tag="b").plan(A, B).require()
    assert checks_of(plan) == {"a": [("t", "x")], "b": []}


@pytest.mark.parametrize("reads", [["model.p.x"], ["model.p.x", "model.p.y"], ["source.p.s.raw"], []])
def test_a_unit_test_of_an_ephemeral_model_runs_in_the_same_group_as_its_test(reads: list[str]) -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("x", tag="a")
        .model("y", "source.p.s.raw", tag="b")
        .model("e", *reads, materialized="ephemeral")
        .test("t", "model.p.e", beside="model.p.e")
        .unit_test("u", "model.p.e")
    )
    plan = manifest.plan(A, B).require()
    with_test = [part.group.name for part in plan.groups if part.tests]
    assert [part.group.name for part in plan.groups if part.unit_tests] == with_test
    assert manifest.graph.checked("unit_test.p.u") == manifest.graph.checked("test.p.t")


# --- nodes that are not built, and warnings ---------------------------------------------------------------


def test_nodes_that_no_run_builds_are_listed_with_reasons() -> None:
    manifest = (
        Manifest()
        .source("raw")
        .model("e", materialized="ephemeral")
        .model("x", tag="a")
        .other("disabled", "model.p.off")
        .other("exposures", "exposure.p.board")
        .other("metrics", "metric.p.sales", "metric.p.costs")
        .other("saved_queries", "saved_query.p.q")
        .other("semantic_models", "semantic_model.p.m")
        .other("analysis", "analysis.p.why")
        .other("operation", "operation.p.hook")
    )
    plan = manifest.plan(A).require()
    assert {left.what: left.nodes for left in plan.not_built} == {
        "ephemeral models": ("model.p.e",),
        "disabled nodes": ("model.p.off",),
        "sources": ("source.p.s.raw",),
        "exposures": ("exposure.p.board",),
        "metrics": ("metric.p.costs", "metric.p.sales"),
        "saved queries": ("saved_query.p.q",),
        "semantic models": ("semantic_model.p.m",),
        "analyses": ("analysis.p.why",),
        "hooks": ("operation.p.hook",),
    }
    assert all(left.why for left in plan.not_built)


def test_kinds_that_a_project_does_not_have_are_not_listed() -> None:
    assert Manifest().model("x", tag="a").plan(A).not_built == ()


def test_a_selection_that_matches_nothing_is_a_warning_that_names_it() -> None:
    plan = Manifest().source("raw").model("x", tag="a").plan(A, B, ScheduleGroup(name="c", selector="by_name"))
    assert [(warning.code, warning.message) for warning in plan.require().warnings] == [
        ("selection-matches-nothing", "The selection of the schedule group b matches no node: 'tag:b'."),
        ("selection-matches-nothing", "The selection of the schedule group c matches no node: the selector 'by_name'."),
    ]


def test_a_default_group_may_select_nothing_itself() -> None:
    rest = ScheduleGroup(name="rest", select="tag:rest", default=True)
    assert Manifest().model("x").plan(rest).require().warnings == ()


def test_an_empty_project_is_one_warning() -> None:
    (warning,) = Manifest().source("raw").plan(A, B).require().warnings
    assert warning.code == "nothing-to-run"


def test_a_default_group_without_a_selection_gets_what_is_left_without_a_warning() -> None:
    rest = ScheduleGroup(name="rest", default=True)
    manifest = Manifest().model("x", tag="a").model("y", "model.p.x").model("z", "model.p.y", tag="b")
    plan = manifest.plan(A, rest)
    assert nodes_of(plan) == {"a": ["x"], "rest": ["y", "z"]}
    assert plan.warnings == plan.problems == ()
    assert nodes_of(manifest.plan(rest)) == {"rest": ["x", "y", "z"]}
    # It has no selection that could overlap.
    assert nodes_of(manifest.plan(A, rest, B)) == {"a": ["x"], "rest": ["y"], "b": ["z"]}


def test_a_selection_of_tests_alone_is_no_warning() -> None:
    plan = Manifest().model("x", tag="a").test("t", tag="b").plan(A, B).require()
    assert plan.warnings == ()


def test_a_group_whose_nodes_all_belong_to_other_groups_is_a_warning() -> None:
    plan = Manifest().model("x", tag=["a", "b"]).plan(A, B, on_overlap=OnOverlap.FIRST).require()
    (warning,) = plan.warnings
    assert (warning.code, warning.message) == (
        "group-runs-nothing",
        "Other groups run everything that the schedule group b selects: 'tag:b'.",
    )
    assert Manifest().model("x", tag=["a", "b"]).plan(A, B, on_overlap=OnOverlap.ALL).warnings == ()


def test_vars_of_a_group_that_change_the_graph_are_a_problem() -> None:
    with_vars = group("a", vars={"day": "2026-01-01"})
    manifest = Manifest().model("x", tag="a").model("y", tag="a")
    assert manifest.plan(with_vars).problems == ()
    problem = only_problem(manifest.plan(with_vars, changed={"model.p.y", "model.p.new"}), "vars-change-nodes")
    assert problem.nodes == (
        "model.p.new is present only with these vars",
        "model.p.y is different or absent with these vars",
    )
    assert "group a" in problem.message
    assert "ANALYTICS_DBT_VARS" in problem.remedy


# --- determinism ---------------------------------------------------------------------------------------

_ANOTHER_PROCESS = """
from tests.unit.planning.test_plan import plan_that_sets_could_shuffle
print(plan_that_sets_could_shuffle())
"""


def plan_that_sets_could_shuffle() -> list[object]:
    """Return the plan of many independent groups, with tests that any of them could run."""
    names = [f"n{place}" for place in range(8)]
    manifest = Manifest().source("raw").test("raw", "source.p.s.raw")
    for name in names:
        manifest.model(name, "source.p.s.raw", tag=name)
    everything = [f"model.p.{name}" for name in names]
    manifest.model("top", *everything, tag="a").test("all", *everything)
    plan = manifest.plan(A, *map(group, names))
    return [(part.group.name, part.nodes, checks_of(plan)[part.group.name]) for part in plan.groups]


def test_every_process_makes_the_same_plan() -> None:
    # Each run is a process of its own: its plan must be that of the UI's process.
    other = subprocess.run(
        [sys.executable, "-c", _ANOTHER_PROCESS],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == str(plan_that_sets_could_shuffle())


def test_two_groups_with_the_same_selection_are_an_error() -> None:
    same = (ScheduleGroup(name="a", select="x"), ScheduleGroup(name="b", select="x"))
    selected = {Selection(select="x"): frozenset({"model.p.x"})}
    plan = make_plan(ScheduleGroups(groups=same), Manifest().model("x").content, selected)
    assert only_problem(plan, "node-in-several-groups").nodes == ("model.p.x (a, b)",)
