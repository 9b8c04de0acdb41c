"""The shop's consumers without a warehouse: what they need, when they stop, and what they work out."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analytics_dagster.assets.consumers import Consumer, ConsumerInputs, Extra, build_consumers
from analytics_dagster.assets.marts import Mart, reasons_against, require_usable
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.shop.chart_style import money
from analytics_dagster.shop.customer_segments import draw
from analytics_dagster.shop.daily_sales_export import SCHEMA, month_files
from analytics_dagster.shop.report_metrics import (
    last_full_day,
    margin_by_week,
    periods,
    revenue_by_store,
    top_products,
)
from analytics_dagster.shop.revenue_report import make_report
from analytics_dagster.shop.segmentation import Centroid, name_of, segment
from analytics_dagster.warehouse import Table, Warehouse
from analytics_dagster.warehouse.folder import Folder

pytestmark = pytest.mark.slow

HEAVY = {"duckdb", "fsspec.implementations.s3", "matplotlib", "numpy", "pandas", "pyarrow", "sklearn"}


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


# --- which there are, and what starts them ------------------------------------------------------------------


def test_importing_the_consumers_imports_none_of_their_libraries() -> None:
    code = "import sys, analytics_dagster.shop; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(modules)


def test_another_projects_marts_leave_every_consumer_out() -> None:
    built = build([mart("somebody_elses")])
    assert built.assets == ()
    assert built.started_with == {}
    assert set(built.skipped) == {consumer.name for consumer in CONSUMERS}


def test_a_consumer_that_is_skipped_is_one_line_that_names_the_missing_mart(caplog: pytest.LogCaptureFixture) -> None:
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
def test_a_missing_library_of_the_extra_is_a_failure_that_names_the_extra(
    instance: dg.DagsterInstance, tmp_path: Path, module: str, expected: str
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("a"))
    asset = build([mart("a")], consumers=[_needs(module)]).assets[0]
    warehouse = Warehouse(adapter="duckdb", path=str(tmp_path / "w.duckdb"), lock_timeout=1)
    result = dg.materialize([asset], resources={"warehouse": warehouse}, instance=instance, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.error is not None
    assert expected in failure.step_failure_data.error.to_string()


# --- the guard ----------------------------------------------------------------------------------------------


class Upstream:
    """A mart with one blocking check, run in a real ephemeral instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.mart = mart("orders", "hourly")
        self.check = dg.AssetCheckKey(self.mart.key, "totals_add_up")

    def run(
        self, *, builds: bool = True, passes: bool | None = True, severity: str = "ERROR", raises: bool = False
    ) -> str:
        """Build the mart and evaluate its check (unless None); return the id of the run."""

        @dg.asset(
            key=self.mart.key, check_specs=[dg.AssetCheckSpec("totals_add_up", asset=self.mart.key, blocking=True)]
        )
        def orders() -> Any:
            if raises:
                raise RuntimeError
            yield dg.MaterializeResult(check_results=[self._result(passes=bool(passes), severity=severity)])

        @dg.asset_check(asset=self.mart.key, name="totals_add_up", blocking=True)
        def totals_add_up() -> dg.AssetCheckResult:
            return self._result(passes=bool(passes), severity=severity)

        @dg.asset(key=self.mart.key)
        def unchecked() -> None:
            if raises:
                raise RuntimeError

        if not builds:
            defs = dg.Definitions(
                asset_checks=[totals_add_up],
                jobs=[dg.define_asset_job("check", dg.AssetSelection.checks(totals_add_up))],
            )
            return defs.resolve_job_def("check").execute_in_process(instance=self.instance, raise_on_error=False).run_id
        asset = unchecked if passes is None else orders
        return dg.materialize([asset], instance=self.instance, raise_on_error=False).run_id

    def _result(self, *, passes: bool, severity: str) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            check_name="totals_add_up", passed=passes, severity=dg.AssetCheckSeverity[severity], asset_key=self.mart.key
        )

    def report(self, *, builds: bool = False, passes: bool | None = None) -> str:
        """Report a build of the mart, or how its check ended, from outside of any run; return the run id, empty."""
        if builds:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(self.mart.key))
        if passes is not None:
            self.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=self.mart.key, check_name=self.check.name, passed=passes, metadata={})
            )
        return ""

    def reasons(self, run_id: str = "the consumer's own") -> list[str]:
        """Return why a run may not read the mart."""
        return list(reasons_against(self.instance, run_id, self.mart, [self.check]))


Step = Mapping[str, Any]

GUARD: list[tuple[str, list[Step], str | None]] = [
    ("nothing has happened", [], "was never built"),
    ("built and checked", [{}], None),
    ("built, the check failed", [{"passes": False}], "failed the check totals_add_up in run {0}"),
    ("built, the check only warns", [{"passes": False, "severity": "WARN"}], None),
    ("never built, failed", [{"raises": True}], "was not built in its last run, {0}, which failed"),
    ("built, then failed", [{}, {"raises": True}], "was not built in its last run, {1}, which failed"),
    ("failed, then built", [{"raises": True}, {}], None),
    ("the check failed, then passed on a new build", [{"passes": False}, {}], None),
    ("the check failed, then passed alone", [{"passes": False}, {"builds": False}], None),
    (
        "passed, then failed alone",
        [{}, {"builds": False, "passes": False}],
        "failed the check totals_add_up in run {1}",
    ),
    ("the check failed on an older build", [{"passes": False}, {"passes": None}], None),
    (
        "built, failed from outside",
        [{}, {"outside": {"passes": False}}],
        "failed the check totals_add_up outside of any run",
    ),
    (
        "failed from outside on an older build",
        [{"outside": {"builds": True, "passes": False}}, {"outside": {"builds": True}}],
        None,
    ),
]


@pytest.mark.parametrize(("steps", "reason"), [row[1:] for row in GUARD], ids=[row[0] for row in GUARD])
def test_a_mart_is_read_only_if_it_is_built_and_no_error_check_of_it_failed(
    instance: dg.DagsterInstance, steps: list[Step], reason: str | None
) -> None:
    upstream = Upstream(instance)
    runs = [upstream.report(**step["outside"]) if "outside" in step else upstream.run(**step) for step in steps]
    expected = [] if reason is None else [f"orders (job hourly) {reason.format(*runs)}"]
    assert upstream.reasons() == expected


def test_a_check_that_is_planned_only_does_not_hide_the_evaluation_before_it(instance: dg.DagsterInstance) -> None:
    upstream = Upstream(instance)
    failed = upstream.run(passes=False)

    @dg.asset(key=upstream.mart.key, check_specs=[dg.AssetCheckSpec("totals_add_up", asset=upstream.mart.key)])
    def orders() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult()

    job = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("build")]).resolve_job_def("build")
    instance.create_run_for_job(job)  # and never started
    assert upstream.reasons() == [f"orders (job hourly) failed the check totals_add_up in run {failed}"]


def test_the_guards_failure_names_every_reason_and_is_not_retried(instance: dg.DagsterInstance) -> None:
    upstream = Upstream(instance)
    run = upstream.run(passes=False)
    with pytest.raises(dg.Failure) as failure:
        require_usable(upstream.instance, "own", [upstream.mart, mart("stores")], {upstream.mart.key: [upstream.check]})
    assert f"orders (job hourly) failed the check totals_add_up in run {run}" in str(failure.value.description)
    assert "stores (job nightly) was never built" in str(failure.value.description)
    assert failure.value.allow_retries is False


# --- segments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recency", "frequency", "monetary", "tenure", "name"),
    [
        (-0.5, 1.1, 0.9, 0.8, "champions"),
        (-0.5, 0.6, 0.4, 0.2, "regulars"),
        (1.6, -0.2, 0.3, 0.0, "at risk"),
        (1.8, -1.2, -1.1, 0.0, "lost"),
        (0.3, -2.3, -2.4, -1.9, "new"),
        (0.5, -0.6, 0.6, 0.1, "big spenders"),
        (0.2, -0.8, -0.9, 0.3, "occasional"),
    ],
)
def test_a_segment_is_named_by_what_sets_its_centroid_apart(
    recency: float, frequency: float, monetary: float, tenure: float, name: str
) -> None:
    assert name_of(Centroid(recency, frequency, monetary, tenure)) == name


def crowd(seed: int = 1) -> pd.DataFrame:
    """Return 90 customers of three plain kinds: daily ones, new ones, and ones who have left."""
    random = np.random.default_rng(seed)
    kinds = [(1, 150, 1500, 300), (2, 3, 25, 12), (90, 40, 500, 280)]
    middle = np.repeat(np.array(kinds, dtype=float), 30, axis=0)
    values = middle * random.uniform(0.85, 1.15, middle.shape)
    frame = pd.DataFrame(values, columns=["recency_days", "order_count", "revenue", "tenure_days"])
    whole: pd.DataFrame = frame.astype({"recency_days": int, "order_count": int})
    return whole


def test_plain_kinds_of_customers_are_found_and_named() -> None:
    found = segment(crowd())
    assert [set(found.segments[start : start + 30]) for start in (0, 30, 60)] == [{"champions"}, {"new"}, {"at risk"}]
    assert found.silhouette is not None
    assert found.silhouette > 0.6
    assert set(found.silhouettes) == {3, 4, 5, 6}


def test_segments_are_the_same_whenever_they_are_computed() -> None:
    assert segment(crowd()) == segment(crowd())


@pytest.mark.parametrize("customers", [0, 1, 3, 90], ids=["none", "one", "three", "ninety alike"])
def test_too_few_different_customers_are_one_segment(customers: int) -> None:
    alike = crowd().iloc[[0] * customers].reset_index(drop=True)
    found = segment(alike)
    assert found.segments == ["regulars"] * customers
    assert found.silhouette is None
    draw(alike.assign(segment=found.segments))


# --- the report ---------------------------------------------------------------------------------------------

TODAY = date(2026, 3, 31)  # a Tuesday


def sales(days: int, *, until: date = TODAY, revenue: float = 100.0) -> pd.DataFrame:
    """Return daily sales of two stores to ``until``, the second of which sells half and has no target."""
    dates = pd.date_range(end=pd.Timestamp(until), periods=days)
    stores = [("Philadelphia", 1.0, 120.0), ("Brooklyn", 0.5, None)]
    daily: pd.DataFrame = pd.DataFrame(
        [
            {
                "sales_date": day,
                "store_name": name,
                "order_count": 10,
                "revenue": revenue * share,
                "gross_profit": revenue * share * 0.8,
                "revenue_target": target,
            }
            for day in dates
            for name, share, target in stores
        ]
    ).astype({"revenue_target": float})
    return daily


def products(*months: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "sku": f"JAF-{number:03}",
                "product_name": f"<b>jaffle</b> $ {number}",
                "sales_month": pd.Timestamp(month),
                "items_sold": 10,
                "revenue": 100.0 * number,
                "supply_cost": 30.0 * number,
                "gross_profit": 70.0 * number,
            }
            for month in months
            for number in range(12)
        ],
        columns=["sku", "product_name", "sales_month", "items_sold", "revenue", "supply_cost", "gross_profit"],
    )


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (date(2026, 3, 31), date(2026, 3, 30)),
        (date(2026, 3, 30), date(2026, 3, 30)),
        (date(2026, 3, 1), date(2026, 3, 1)),
    ],
    ids=["today is not over", "nothing came today", "nothing came for long"],
)
def test_the_last_full_day_has_ended_and_has_rows(until: date, expected: date) -> None:
    assert last_full_day(sales(5, until=until), TODAY) == expected


def test_a_shop_that_opened_today_has_no_full_day_and_no_report() -> None:
    assert last_full_day(sales(1), TODAY) is None
    assert make_report(sales(1), products(), today=TODAY) is None


def test_revenue_is_that_of_whole_days_and_is_compared_with_the_days_before() -> None:
    daily = sales(40)
    daily.loc[daily.sales_date == pd.Timestamp("2026-03-23"), "revenue"] = 100.0
    day, week, month = periods(daily, date(2026, 3, 30))
    assert (day.revenue, day.first, day.orders, day.previous_revenue) == (150.0, date(2026, 3, 30), 20, 200.0)
    assert day.change == pytest.approx(-0.25)
    assert (week.revenue, week.first) == (1050.0, date(2026, 3, 24))
    assert week.previous_revenue == 1100.0
    assert month.revenue == 4250.0
    assert month.margin == pytest.approx(28 * 120 / 4250)
    assert month.previous_revenue is None, "the shop was open for 11 of these days only"
    assert month.change is None


def test_stores_are_ordered_by_revenue_and_one_without_targets_has_none() -> None:
    stores = revenue_by_store(sales(40), date(2026, 3, 30))
    assert list(stores.index) == ["Philadelphia", "Brooklyn"]
    assert stores.revenue.tolist() == [2800.0, 1400.0]
    assert stores.revenue_target.iloc[0] == 28 * 120.0
    assert np.isnan(stores.revenue_target.iloc[1])


def test_margins_are_of_whole_weeks() -> None:
    margins = margin_by_week(sales(40), date(2026, 3, 30))
    assert margins.index[-1] == pd.Timestamp("2026-03-29")
    assert margins.tolist() == pytest.approx([0.8] * len(margins))


@pytest.mark.parametrize(
    ("months", "last", "expected"),
    [
        (("2026-02-01", "2026-03-01"), date(2026, 3, 30), date(2026, 2, 1)),
        (("2026-02-01", "2026-03-01"), date(2026, 3, 31), date(2026, 3, 1)),
        (("2026-03-01",), date(2026, 3, 30), date(2026, 3, 1)),
    ],
    ids=["the last that ended", "it ended with the last full day", "none has ended"],
)
def test_top_products_are_those_of_the_last_month_that_ended(
    months: tuple[str, ...], last: date, expected: date
) -> None:
    found = top_products(products(*months), last)
    assert found is not None
    assert found[0] == expected
    assert found[1].sku.tolist() == [f"JAF-{number:03}" for number in range(11, 1, -1)]


def test_the_report_is_one_page_without_network_and_with_names_escaped() -> None:
    report = make_report(sales(40), products("2026-02-01"), today=TODAY)
    assert report is not None
    assert "Monday, 30 March 2026" in report.html
    assert report.html.count('src="data:image/svg+xml;base64,') == 4
    assert "http" not in report.html
    assert "&lt;b&gt;jaffle&lt;/b&gt;" in report.html
    assert "<b>" not in report.html
    assert report == make_report(sales(40), products("2026-02-01"), today=TODAY)


def test_the_first_report_of_a_shop_does_without_what_is_not_there_yet() -> None:
    report = make_report(sales(2), products(), today=TODAY)
    assert report is not None
    assert report.html.count("data:image/svg+xml") == 2


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0"), (950, "$950"), (12_500, "$12.5k"), (3_000_000, "$3M"), (-1500, "$-1.5k")]
)
def test_amounts_on_axes_are_short(amount: float, text: str) -> None:
    assert money(amount) == text


# --- the export ---------------------------------------------------------------------------------------------


def exported(days: int) -> pd.DataFrame:
    dates = pd.date_range("2026-01-30", periods=days)
    whole = {column.name: 7 for column in SCHEMA if str(column.type) == "int32"}
    amounts = {column.name: 1234.1 for column in SCHEMA if str(column.type).startswith("decimal")}
    return pd.DataFrame(
        [{"store_id": "s", "store_name": "Brooklyn", "sales_date": day, **whole, **amounts} for day in dates]
    )


def test_each_month_is_one_file_of_the_promised_types() -> None:
    files = month_files(exported(5))
    assert list(files) == [f"sales_month=2026-{month}/daily_sales.parquet" for month in ("01", "02")]
    table = pq.read_table(io.BytesIO(files["sales_month=2026-02/daily_sales.parquet"]))
    assert table.schema.remove_metadata() == SCHEMA
    assert table.num_rows == 3
    assert str(table["revenue"][0]) == "1234.10"


def test_the_same_rows_are_the_same_bytes() -> None:
    assert month_files(exported(5)) == month_files(exported(5))


def test_no_sales_are_no_files() -> None:
    assert month_files(exported(1).iloc[:0]) == {}
