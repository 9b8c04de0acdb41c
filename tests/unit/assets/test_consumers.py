"""Which consumers become assets, in which job they run, and the errors of their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.assets.consumers import Consumer, ConsumerInputs, Extra, build_consumers
from analytics_dagster.assets.marts import Mart
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.warehouse import Table, Warehouse
from analytics_dagster.warehouse.folder import Folder

pytestmark = pytest.mark.slow


def mart(name: str, group: str = "nightly") -> Mart:
    return Mart(name, dg.AssetKey(name), Table("marts", name), group)


def build(
    marts: Sequence[Mart], *, consumers: Sequence[Consumer] = CONSUMERS, folder: Path = Path("unused"), **others: Any
) -> Any:
    return build_consumers(
        consumers,
        {mart.name: mart for mart in marts},
        group_order=["hourly", "nightly"],
        blocking_checks=others.get("blocking_checks", {}),
        reports=Folder(str(folder / "reports")),
        outbound=Folder(str(folder / "outbound")),
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_a_skipped_consumer_is_logged_with_the_missing_mart(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        built = build([mart("daily_sales"), mart("product_margins")])
    assert built.skipped == {"customer_segments": ("customer_lifetime_value",)}
    assert caplog.messages == [
        "consumers: customer_segments skipped: no model customer_lifetime_value in this dbt project"
    ]


@pytest.mark.parametrize(
    ("groups", "started_with"),
    [
        (("hourly", "hourly"), "hourly"),
        (("hourly", "nightly"), "nightly"),
        (("nightly", "hourly"), "nightly"),
    ],
)
def test_the_group_that_builds_the_last_of_its_marts_starts_a_consumer(
    groups: tuple[str, str], started_with: str
) -> None:
    consumer = Consumer("both", "", ("a", "b"), lambda _: dg.MaterializeResult(), (), ())
    built = build([mart("a", groups[0]), mart("b", groups[1])], consumers=[consumer])
    assert built.started_with == {started_with: [dg.AssetKey(["consumers", "both"])]}
    (spec,) = built.assets[0].specs
    assert spec.metadata["starts with"] == started_with
    assert {dep.asset_key for dep in spec.deps} == {dg.AssetKey("a"), dg.AssetKey("b")}


def _needs(module: str) -> Consumer:
    def materialize(_: ConsumerInputs) -> dg.MaterializeResult[None]:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    return Consumer("needy", "", ("a",), materialize, extra=Extra("analytics-dagster[shop]", frozenset({"sklearn"})))


@pytest.mark.parametrize(
    ("module", "expected"),
    [("sklearn.cluster", "analytics-dagster[shop]"), ("somebody_elses", "No module named 'somebody_elses'")],
)
def test_a_missing_library_is_a_failure_that_names_the_extra(
    instance: dg.DagsterInstance, tmp_path: Path, module: str, expected: str
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("a"))
    asset = build([mart("a")], consumers=[_needs(module)]).assets[0]
    warehouse = Warehouse(adapter="duckdb", path=str(tmp_path / "w.duckdb"), lock_timeout=1)
    result = dg.materialize([asset], resources={"warehouse": warehouse}, instance=instance, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.error is not None
    assert expected in failure.step_failure_data.error.to_string()
