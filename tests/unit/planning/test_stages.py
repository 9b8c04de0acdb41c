"""Stages: parts of groups in an order in which every node is built after its parents."""

from __future__ import annotations

from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup
from analytics_dagster.planning.stages import stages
from tests.unit.manifests import Manifest, group

A, B, C = group("a"), group("b"), group("c")
MEANT = (group("a", reads_previous=("b", "c")), group("b", reads_previous=("c",)), C)
"""Groups that may form cycles."""


def staged(
    manifest: Manifest,
    groups: tuple[ScheduleGroup, ...],
    *,
    nodes: str | None = None,
    tests: str | None = None,
) -> list[tuple[str, str, str]]:
    """Return each stage's group, nodes and tests, by their last letters; by default of the whole plan."""
    plan = manifest.plan(*groups).require()
    found = stages(
        plan,
        manifest.graph,
        frozenset(plan.group_of if nodes is None else [f"model.p.{name}" for name in nodes]),
        frozenset(plan.tests if tests is None else [f"test.p.{name}" for name in tests]),
    )
    return [(stage.group, _letters(stage.nodes), _letters(stage.tests)) for stage in found]


def _letters(unique_ids: frozenset[str]) -> str:
    return "".join(sorted(unique_id[-1] for unique_id in unique_ids))


def chain() -> Manifest:
    """Return u (a) <- v (b) <- w (c), a test of each, and one of u and w."""
    manifest = Manifest().model("u", tag="a").model("v", "model.p.u", tag="b").model("w", "model.p.v", tag="c")
    for name in "uvw":
        manifest.test(name, f"model.p.{name}")
    return manifest.test("x", "model.p.u", "model.p.w")


def circles() -> Manifest:
    """Return u (a) <- v (b) <- w (a) <- x (b)."""
    manifest = Manifest().model("u", tag="a").model("v", "model.p.u", tag="b")
    return manifest.model("w", "model.p.v", tag="a").model("x", "model.p.w", tag="b")


def test_each_group_has_one_stage_in_the_plans_order() -> None:
    assert staged(chain(), (C, B, A)) == [("a", "u", "u"), ("b", "v", "v"), ("c", "w", "wx")]


def test_nodes_that_are_not_given_are_in_no_stage() -> None:
    assert staged(chain(), (A, B, C), nodes="vw", tests="w") == [("b", "v", ""), ("c", "w", "w")]
    assert staged(chain(), (A, B, C), nodes="", tests="") == []


def test_tests_alone_have_a_stage_of_their_group() -> None:
    assert staged(chain(), (A, B, C), nodes="", tests="ux") == [("a", "", "u"), ("c", "", "x")]
    assert staged(chain(), (A, B, C), nodes="u", tests="x") == [("a", "u", ""), ("c", "", "x")]


def test_groups_that_read_each_other_have_several_stages() -> None:
    assert staged(circles(), MEANT) == [("a", "u", ""), ("b", "v", ""), ("a", "w", ""), ("b", "x", "")]


def test_groups_have_one_stage_if_the_given_nodes_form_no_cycle() -> None:
    assert staged(circles(), MEANT, nodes="vwx") == [("b", "v", ""), ("a", "w", ""), ("b", "x", "")]
    assert staged(circles(), MEANT, nodes="uwx") == [("a", "uw", ""), ("b", "x", "")]
    assert staged(circles(), MEANT, nodes="vw") == [("b", "v", ""), ("a", "w", "")]


def test_a_group_that_can_run_completely_goes_first() -> None:
    # a could begin with u, but needs only one stage if b, which is later in the plan, goes first.
    manifest = Manifest().model("u", tag="a").model("v", tag="b").model("w", "model.p.v", tag="a")
    manifest.model("x", "model.p.w", tag="b")
    assert staged(manifest, (group("a", reads_previous=("b",)), B), nodes="uvw") == [("b", "v", ""), ("a", "uw", "")]


def test_a_node_that_is_read_through_an_ephemeral_model_comes_first() -> None:
    manifest = circles().model("e", "model.p.x", materialized="ephemeral").model("y", "model.p.e", tag="a")
    assert [stage[:2] for stage in staged(manifest, MEANT)] == [
        ("a", "u"),
        ("b", "v"),
        ("a", "w"),
        ("b", "x"),
        ("a", "y"),
    ]


def test_a_test_is_in_the_first_stage_of_its_group_after_its_nodes() -> None:
    manifest = (
        circles()
        .test("u", "model.p.u")
        .test("v", "model.p.u", "model.p.v")
        .test("w", "model.p.w", "model.p.v")
        .test("x", "model.p.x")
    )
    assert staged(manifest, MEANT) == [("a", "u", "u"), ("b", "v", "v"), ("a", "w", ""), ("b", "x", "wx")]


def test_a_test_gets_a_stage_of_its_own_if_its_group_has_none_left() -> None:
    # w is of a, and the test's group is b, the last of the two: but all of b is built before w.
    manifest = circles()
    del manifest.nodes["model.p.x"]
    manifest.tagged["b"].discard("model.p.x")
    manifest.test("t", "model.p.v", "model.p.w")
    # v puts b after a, and w puts a after b, with `reads_previous`.
    assert staged(manifest, MEANT) == [("a", "u", ""), ("b", "v", ""), ("a", "w", ""), ("b", "", "t")]


def test_three_groups_in_a_cycle_have_four_stages() -> None:
    manifest = Manifest().model("u", tag="a").model("v", "model.p.u", tag="b").model("w", "model.p.v", tag="c")
    manifest.model("x", "model.p.w", tag="a")
    assert [stage[:2] for stage in staged(manifest, MEANT)] == [("a", "u"), ("b", "v"), ("c", "w"), ("a", "x")]


def test_a_node_that_several_groups_refresh_is_built_in_its_own_group() -> None:
    manifest = Manifest().model("u", tag=["a", "b"]).model("v", "model.p.u", tag="b").test("t", "model.p.u")
    plan = manifest.plan(A, B, on_overlap=OnOverlap.ALL).require()
    found = stages(plan, manifest.graph, frozenset(plan.group_of), frozenset(plan.tests))
    assert [(stage.group, _letters(stage.nodes), _letters(stage.tests)) for stage in found] == [
        ("a", "u", "t"),
        ("b", "v", ""),
    ]
