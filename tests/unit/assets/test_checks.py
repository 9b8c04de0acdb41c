"""Which check each test becomes: its asset, its name, and whether it blocks."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg
import pytest

from analytics_dagster.assets.checks import build_check_specs, check_names
from analytics_dagster.assets.steps import Step, Steps
from analytics_dagster.planning.groups import OnOverlap
from analytics_dagster.planning.plan import Plan
from tests.unit.manifests import Manifest, group

ORDERS, EARLY = dg.AssetKey("orders"), dg.AssetKey("early")


def data_test(name: str, package: str = "shop", ending: str = "1") -> dict[str, str]:
    return {"unique_id": f"test.{package}.{name}.{ending}", "name": name, "package_name": package}


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ([(data_test("unique"), ORDERS)], ["unique"]),
        ([(data_test("unique"), ORDERS), (data_test("unique", ending="2"), EARLY)], ["unique", "unique"]),
        ([(data_test("unique"), ORDERS), (data_test("unique", "other"), ORDERS)], ["shop_unique", "other_unique"]),
        (
            [(data_test("unique"), ORDERS), (data_test("unique", ending="2"), ORDERS)],
            ["test_shop_unique_1", "test_shop_unique_2"],
        ),
        # What is told apart must not take the name of a third.
        (
            [(data_test("unique"), ORDERS), (data_test("unique", "other"), ORDERS), (data_test("shop_unique"), ORDERS)],
            ["test_shop_unique_1", "other_unique", "shop_unique"],
        ),
    ],
)
def test_checks_of_one_asset_have_different_names(
    tests: list[tuple[dict[str, str], dg.AssetKey]], names: list[str]
) -> None:
    assert [check_names(tests)[test["unique_id"]] for test, _ in tests] == names
    assert check_names(reversed(tests)) == check_names(tests)


# --- blocking -----------------------------------------------------------------------------------------------


def blocking(manifest: Manifest, plan: Plan) -> Collection[str]:
    steps = Steps(plan, manifest.graph)
    return {test.unique_id.removeprefix("test.p.") for test in plan.tests.values() if steps.blocks(test)}


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


def test_a_test_of_a_later_group_does_not_hold_back_what_that_group_waits_for() -> None:
    # The test checks `x`, and needs `late`; if it held back `between`, which reads `x`, nothing would ever run.
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", "model.p.x", tag="b")
        .model("late", "model.p.between", tag="c")
        .test("crossing", "model.p.x", "model.p.late", beside="model.p.x")
    )
    assert blocking(manifest, manifest.plan(group("a"), group("b"), group("c"))) == set()


def test_in_a_circle_of_groups_only_a_test_of_one_node_alone_blocks() -> None:
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


def test_in_a_circle_a_test_may_not_even_hold_back_the_other_parts_of_its_own_step() -> None:
    # Split by the circle, `x` is in another part than `late`, which the test waits for, and which reads `x`.
    manifest = (
        Manifest()
        .model("x", tag="a")
        .model("between", tag="b")
        .model("late", "model.p.x", "model.p.between", tag="a")
        .model("last", "model.p.late", tag="b")
        .test("t", "model.p.x", "model.p.late", beside="model.p.x")
    )
    assert blocking(manifest, manifest.plan(group("a", reads_previous=("b",)), group("b"))) == set()


# --- steps of their own -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "apart"),
    [
        (["model.p.shared"], False),
        (["model.p.late"], False),
        # `late` comes after `shared` by itself, so the step that builds it does.
        (["model.p.late", "model.p.shared"], False),
        (["model.p.other", "model.p.shared"], True),
        (["model.p.late", "model.p.other", "model.p.shared"], True),
        (["model.p.other", "model.p.late"], False),
    ],
)
def test_a_test_is_a_step_of_its_own_where_no_step_surely_comes_after_all_that_it_reads(
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


def test_where_nothing_is_refreshed_every_test_is_in_its_groups_step() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="b").test("t", "model.p.x", "model.p.y")
    plan = manifest.plan(group("a"), group("b"))
    assert Steps(plan, manifest.graph).of_test == {"test.p.t": Step("b")}


def test_a_test_in_a_step_of_its_own_holds_back_no_step_that_it_waits_for() -> None:
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


def test_two_steps_of_which_tests_read_the_others_node_do_not_block_each_other() -> None:
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


# --- specs --------------------------------------------------------------------------------------------------


def named(manifest: Manifest) -> Manifest:
    for unique_id, node in {**manifest.nodes, **manifest.unit_tests}.items():
        node |= {"unique_id": unique_id, "name": unique_id.split(".")[-1], "package_name": "p"}
    return manifest


def specs_of(manifest: Manifest, plan: Plan, *, unit_tests: bool) -> dict[str, dg.AssetCheckSpec]:
    keys = {unique_id: dg.AssetKey(unique_id.split(".")[-1]) for unique_id in [*manifest.nodes, *manifest.sources]}
    content = {**named(manifest).content, "metadata": {"project_name": "shop"}}
    return dict(build_check_specs(plan, manifest.graph, content, keys, unit_tests=unit_tests))


def test_every_test_is_a_check_of_what_the_plan_names_and_depends_on_what_else_it_reads() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="a").source("raw")
    manifest.test("both", "model.p.x", "model.p.y", beside="model.p.x").test("raw_ids", "source.p.s.raw")
    specs = specs_of(manifest, manifest.plan(group("a")), unit_tests=False)
    assert {unique_id: spec.asset_key.to_user_string() for unique_id, spec in specs.items()} == {
        "test.p.both": "x",
        "test.p.raw_ids": "raw",
    }
    assert [dep.asset_key.to_user_string() for dep in specs["test.p.both"].additional_deps] == ["y"]


def test_a_test_that_reads_nothing_where_nothing_is_built_is_a_check_of_the_project() -> None:
    manifest = Manifest().test("clock")
    specs = specs_of(manifest, manifest.plan(group("a", default=True)), unit_tests=False)
    assert specs["test.p.clock"].asset_key == dg.AssetKey("shop")
    assert not specs["test.p.clock"].blocking


@pytest.mark.parametrize("wanted", [True, False])
def test_a_unit_test_is_a_blocking_check_of_its_model_only_where_runs_execute_them(*, wanted: bool) -> None:
    manifest = Manifest().model("x", tag="a").unit_test("adds_up", "model.p.x")
    specs = specs_of(manifest, manifest.plan(group("a")), unit_tests=wanted)
    assert [(spec.asset_key.to_user_string(), spec.name, spec.blocking) for spec in specs.values()] == (
        [("x", "adds_up", True)] if wanted else []
    )


@pytest.mark.parametrize(("reads", "checked"), [(["model.p.x"], "x"), (["source.p.s.raw"], "raw"), ([], "y")])
def test_a_unit_test_of_an_ephemeral_model_is_a_check_of_what_that_reads_and_blocks_nothing(
    reads: list[str], checked: str
) -> None:
    manifest = Manifest().source("raw").model("x", "source.p.s.raw", tag="a").model("y", "model.p.x", tag="a")
    manifest.model("e", *reads, materialized="ephemeral").unit_test("adds_up", "model.p.e")
    specs = specs_of(manifest, manifest.plan(group("a", default=True)), unit_tests=True)
    assert [(spec.asset_key.to_user_string(), spec.blocking) for spec in specs.values()] == [(checked, False)]
