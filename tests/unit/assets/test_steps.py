"""The step of each test, and which checks block."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from analytics_dagster.assets.steps import Step, Steps
from analytics_dagster.planning.groups import OnOverlap
from analytics_dagster.planning.plan import Plan
from tests.unit.manifests import Manifest, group


def blocking(manifest: Manifest, plan: Plan) -> Collection[str]:
    steps = Steps(plan, manifest.graph)
    return {test.unique_id.removeprefix("test.p.") for test in plan.tests.values() if steps.blocks(test)}


# --- blocking -----------------------------------------------------------------------------------------------


def test_a_test_of_severity_error_blocks_and_one_that_warns_does_not() -> None:
    manifest = Manifest().model("x", tag="a").test("errs", "model.p.x").test("warns", "model.p.x")
    manifest.nodes["test.p.warns"]["config"]["severity"] = "Warn"
    manifest.nodes["test.p.errs"]["config"]["severity"] = None
    assert blocking(manifest, manifest.plan(group("a"))) == {"errs"}


def test_a_test_blocks_readers_in_later_groups() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("y", "model.p.x", tag="b")
        .test("own", "model.p.x")
        .test("of_source", "source.p.s.raw")
        .source("raw")
    )
    manifest.model("z", "source.p.s.raw", tag="a").model("w", "source.p.s.raw", tag="b")
    assert blocking(manifest, manifest.plan(group("a"), group("b"))) == {"own", "of_source"}


def test_a_test_of_a_later_group_does_not_block_what_that_group_waits_for() -> None:
    # The test checks `x` and reads `late`. If it blocked `between`, which reads `x`, the steps would wait in a cycle.
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", "model.p.x", tag="b")
        .model("late", "model.p.between", tag="c")
        .test("crossing", "model.p.x", "model.p.late", beside="model.p.x")
    )
    assert blocking(manifest, manifest.plan(group("a"), group("b"), group("c"))) == set()


def test_in_a_cycle_of_groups_only_a_test_of_one_node_blocks() -> None:
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", "model.p.x", tag="b")
        .model("late", "model.p.between", tag="a")
        .test("alone", "model.p.x")
        .test("of_both", "model.p.x", "model.p.late", beside="model.p.x")
        .test("at_the_end", "model.p.x", "model.p.late", beside="model.p.late")
    )
    plan = manifest.plan(group("a", reads_previous=("b",)), group("b"))
    assert blocking(manifest, plan) == {"alone", "at_the_end"}


def test_in_a_cycle_a_test_does_not_block_other_parts_of_its_own_step() -> None:
    # The cycle splits the step: `x` is in another part than `late`, which reads `x` and which the test reads.
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", tag="b")
        .model("late", "model.p.x", "model.p.between", tag="a")
        .model("last", "model.p.late", tag="b")
        .test("t", "model.p.x", "model.p.late", beside="model.p.x")
    )
    assert blocking(manifest, manifest.plan(group("a", reads_previous=("b",)), group("b"))) == set()


# --- steps of tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "apart"),
    [
        (["model.p.shared"], False),
        (["model.p.late"], False),
        # `late` is downstream of `shared`, so its step runs after that of `shared`.
        (["model.p.late", "model.p.shared"], False),
        (["model.p.other", "model.p.shared"], True),
        (["model.p.late", "model.p.other", "model.p.shared"], True),
        (["model.p.other", "model.p.late"], False),
    ],
)
def test_a_test_is_in_a_step_of_tests_if_no_step_runs_after_everything_it_reads(
    reads: list[str], *, apart: bool
) -> None:
    manifest = (
        Manifest()
        .model("other", tag="a")
        .model("shared", tag=["b", "a"])
        .model("late", "model.p.shared", tag="a")
        .test("t", *reads, beside=reads[0])
    )
    plan = manifest.plan(group("b"), group("a"), on_overlap=OnOverlap.ALL).require()
    assert Steps(plan, manifest.graph).of_test["test.p.t"].is_tests_only is apart


def test_without_refreshed_nodes_every_test_is_in_its_groups_main_step() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").test("t", "model.p.x", "model.p.y")
    plan = manifest.plan(group("a"), group("b"))
    assert Steps(plan, manifest.graph).of_test == {"test.p.t": Step("b")}


def test_a_test_in_a_step_of_tests_blocks_no_step_that_it_waits_for() -> None:
    # In the run of `b`, the step of the test waits for that of `m1`, which is the one of `m3` too.
    manifest = (
        Manifest()
        .model("m1", tag=["a", "b"])
        .model("m2", tag="b")
        .model("m3", "model.p.m2", tag=["a", "b"])
        .test("t", "model.p.m1", "model.p.m2", beside="model.p.m2")
    )
    plan = manifest.plan(group("a"), group("b"), on_overlap=OnOverlap.ALL).require()
    assert Steps(plan, manifest.graph).of_test["test.p.t"] == Step("a", is_tests_only=True)
    assert blocking(manifest, plan) == set()


def test_two_steps_with_tests_of_each_others_nodes_do_not_both_block() -> None:
    # The step of `late` reads `first` and waits for `b`, which reads `middle` and would wait for `late`.
    manifest = (
        Manifest()
        .model("first", tag=["a", "c"])
        .model("middle", tag="c")
        .model("last", "model.p.first", "model.p.middle", tag="b")
        .test("early", "model.p.first", "model.p.last", beside="model.p.first")
        .test("late", "model.p.middle", "model.p.first", beside="model.p.middle")
    )
    groups = group("a", reads_previous=("b", "c")), group("c", reads_previous=("a", "b"))
    plan = manifest.plan(
        *groups, group("b", reads_previous=("a", "c"), default=True), on_overlap=OnOverlap.ALL
    ).require()
    assert Steps(plan, manifest.graph).of_test["test.p.late"] == Step("c", is_tests_only=True)
    assert blocking(manifest, plan) == {"late"}
