"""The asset check of each dbt test: its asset, its name and its dependencies."""

from __future__ import annotations

import dagster as dg
import pytest

from analytics_dagster.assets.checks import build_check_specs, check_names
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
        # A longer name must not equal the name of a third test.
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


def named(manifest: Manifest) -> Manifest:
    for unique_id, node in {**manifest.nodes, **manifest.unit_tests}.items():
        node |= {"unique_id": unique_id, "name": unique_id.split(".")[-1], "package_name": "p"}
    return manifest


def specs_of(manifest: Manifest, plan: Plan, *, unit_tests: bool) -> dict[str, dg.AssetCheckSpec]:
    keys = {unique_id: dg.AssetKey(unique_id.split(".")[-1]) for unique_id in [*manifest.nodes, *manifest.sources]}
    content = {**named(manifest).content, "metadata": {"project_name": "shop"}}
    return dict(build_check_specs(plan, manifest.graph, content, keys, unit_tests=unit_tests))


def test_a_test_is_a_check_of_the_planned_asset_and_depends_on_other_reads() -> None:
    manifest = Manifest().model("x", tag="a").model("y", tag="a").source("raw")
    manifest.test("both", "model.p.x", "model.p.y", beside="model.p.x").test("raw_ids", "source.p.s.raw")
    specs = specs_of(manifest, manifest.plan(group("a")), unit_tests=False)
    assert {unique_id: spec.asset_key.to_user_string() for unique_id, spec in specs.items()} == {
        "test.p.both": "x",
        "test.p.raw_ids": "raw",
    }
    assert [dep.asset_key.to_user_string() for dep in specs["test.p.both"].additional_deps] == ["y"]


def test_without_nodes_a_test_that_reads_nothing_is_a_check_of_the_project() -> None:
    manifest = Manifest().test("clock")
    specs = specs_of(manifest, manifest.plan(group("a", default=True)), unit_tests=False)
    assert specs["test.p.clock"].asset_key == dg.AssetKey("shop")
    assert not specs["test.p.clock"].blocking


@pytest.mark.parametrize("wanted", [True, False])
def test_a_unit_test_is_a_blocking_check_only_if_runs_execute_unit_tests(*, wanted: bool) -> None:
    manifest = Manifest().model("x", tag="a").unit_test("adds_up", "model.p.x")
    specs = specs_of(manifest, manifest.plan(group("a")), unit_tests=wanted)
    assert [(spec.asset_key.to_user_string(), spec.name, spec.blocking) for spec in specs.values()] == (
        [("x", "adds_up", True)] if wanted else []
    )


@pytest.mark.parametrize(("reads", "checked"), [(["model.p.x"], "x"), (["source.p.s.raw"], "raw"), ([], "y")])
def test_a_unit_test_of_an_ephemeral_model_checks_a_parent_and_does_not_block(reads: list[str], checked: str) -> None:
    manifest = Manifest().source("raw").model("x", "source.p.s.raw", tag="a").model("y", "model.p.x", tag="a")
    manifest.model("e", *reads, materialized="ephemeral").unit_test("adds_up", "model.p.e")
    specs = specs_of(manifest, manifest.plan(group("a", default=True)), unit_tests=True)
    assert [(spec.asset_key.to_user_string(), spec.blocking) for spec in specs.values()] == [(checked, False)]
