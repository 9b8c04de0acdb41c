"""The shop's consumers on a small DuckDB warehouse, run by Dagster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest

from analytics_dagster.assets.consumers import Consumers, build_consumers
from analytics_dagster.assets.marts import Mart
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.warehouse import Table, Warehouse
from analytics_dagster.warehouse.folder import Folder

pytestmark = pytest.mark.integration

MARTS = ("customer_lifetime_value", "daily_sales", "product_margins")
CHECK = dg.AssetCheckKey(dg.AssetKey("daily_sales"), "daily_totals_add_up")

# Like dbt's tables: the columns that consumers read and one more, with money as numeric(16, 2).
CUSTOMERS = """
    create table marts.customer_lifetime_value as
    select
        'customer ' || kind || ' ' || number as customer_id,
        'somebody' as customer_name,
        cast($today as date) as as_of_date,
        cast([1, 2, 90][kind] + number % 2 as integer) as recency_days,
        cast([150, 3, 40][kind] + number % 3 as integer) as order_count,
        cast([1500.10, 25.50, 500.00][kind] + number as numeric(16, 2)) as revenue,
        cast([300, 12, 280][kind] + number as integer) as tenure_days
    from range(1, 4) as kinds(kind), range(1, 31) as numbers(number)
"""
SALES = """
    create table marts.daily_sales as
    select
        store_name || ' id' as store_id,
        store_name,
        cast(cast($today as date) - cast(ago as integer) as date) as sales_date,
        10 as order_count, 9 as customer_count, 1 as new_customer_count, 12 as item_count,
        cast(100.10 as numeric(16, 2)) as revenue,
        cast(6.00 as numeric(16, 2)) as tax_paid,
        cast(106.10 as numeric(16, 2)) as order_total,
        cast(20.00 as numeric(16, 2)) as supply_cost,
        cast(80.10 as numeric(16, 2)) as gross_profit,
        cast(10.01 as numeric(16, 2)) as average_order_value,
        cast(case when store_name = 'Brooklyn' then 95 end as numeric(16, 2)) as revenue_target
    from (values ('Brooklyn'), ('Philadelphia')) as stores(store_name), range(0, $days) as days(ago)
"""
MARGINS = """
    create table marts.product_margins as
    select
        'JAF-00' || number as sku,
        'jaffle ' || number as product_name,
        'jaffle' as product_type,
        cast(date_trunc('month', cast($today as date)) as date) as sales_month,
        10 as items_sold,
        cast(12.00 * number as numeric(16, 2)) as revenue,
        cast(4.00 * number as numeric(16, 2)) as supply_cost,
        cast(8.00 * number as numeric(16, 2)) as gross_profit
    from range(1, 6) as numbers(number)
"""


class Shop:
    """A warehouse with the marts, an instance in which they are built, and the consumers on them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance
        self.warehouse = Warehouse(adapter="duckdb", path=str(folder / "warehouse.duckdb"), lock_timeout=5)
        self.today = datetime.now(tz=timezone.utc).date()
        self.consumers = self._consumers()
        self.build()

    def build(self, *, days: int = 70) -> None:
        """Build the marts with ``days`` days of sales, and report it to the instance."""
        with duckdb.connect(self.warehouse.path) as connection:
            connection.execute("drop schema if exists marts cascade")
            connection.execute("create schema marts")
            connection.execute(CUSTOMERS, {"today": self.today})
            connection.execute(SALES, {"today": self.today, "days": days})
            connection.execute(MARGINS, {"today": self.today})
        for name in MARTS:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(name))

    def evaluate(self, *, passed: bool) -> None:
        """Report the result of the blocking check of the daily sales to the instance."""
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=CHECK.asset_key, check_name=CHECK.name, passed=passed, metadata={})
        )

    def run(self, *names: str) -> dg.ExecuteInProcessResult:
        """Run the named consumers, or all; return the result even if they fail."""
        chosen = [asset for asset in self.consumers.assets if not names or asset.key.path[-1] in names]
        return dg.materialize(
            chosen, resources={"warehouse": self.warehouse}, instance=self.instance, raise_on_error=False
        )

    def files(self) -> dict[str, bytes]:
        """Return every file that the consumers wrote, by its name."""
        paths = [path for place in ("reports", "outbound") for path in (self.folder / place).rglob("*")]
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}

    def segments(self) -> pd.DataFrame:
        """Return the table of segments."""
        return self.warehouse.read("select * from consumers.customer_segments order by customer_id")

    def _consumers(self) -> Consumers:
        marts = {name: Mart(name, dg.AssetKey(name), Table("marts", name), "nightly") for name in MARTS}
        return build_consumers(
            CONSUMERS,
            marts,
            group_order=["hourly", "nightly"],
            blocking_checks={CHECK.asset_key: [CHECK]},
            reports=Folder(str(self.folder / "reports")),
            outbound=Folder(str(self.folder / "outbound")),
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(tmp_path, instance)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(f"consumers__{name}")
    return {key: value.value for key, value in event.metadata.items()}


def test_the_segments_are_a_table_with_a_plot_and_a_check(shop: Shop) -> None:
    result = shop.run("customer_segments")
    assert result.success
    table = shop.segments()
    assert table.segment.value_counts().to_dict() == {"champions": 30, "new": 30, "at risk": 30}
    found = metadata(result, "customer_segments")
    assert found["dagster/row_count"] == 90
    assert found["silhouette"] > 0.6
    assert found["plot"].startswith("![Customers by segment](data:image/png;base64,")
    assert "| champions | 30 | 33% |" in found["segments"]
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_the_table_of_segments_has_the_columns_of_its_metadata(shop: Shop) -> None:
    result = shop.run("customer_segments")
    promised = metadata(result, "customer_segments")["dagster/column_schema"]
    described = shop.warehouse.read("describe consumers.customer_segments")
    assert [(column.name, column.type) for column in promised.columns] == list(
        zip(described.column_name, described.column_type.str.lower(), strict=True)
    )


def test_the_report_is_written_by_day_and_as_the_latest(shop: Shop) -> None:
    result = shop.run("revenue_report")
    assert result.success
    yesterday = shop.today - timedelta(days=1)
    files = shop.files()
    dated = f"reports/revenue_report/{yesterday:%Y-%m-%d}.html"
    assert set(files) == {dated, "reports/revenue_report/latest.html"}
    assert files[dated] == files["reports/revenue_report/latest.html"]
    found = metadata(result, "revenue_report")
    assert found["revenue, last full day"] == 200.20
    assert found["revenue, last 7 days"] == 1401.40
    assert found["revenue, last 28 days"] == 5605.60
    assert found["path"] == str(shop.folder / dated)
    assert found["link"] == (shop.folder / dated).as_uri()
    assert "![Revenue by day](data:image/png;base64," in found["preview"]


def test_the_export_has_every_row_of_the_mart_in_monthly_files(shop: Shop) -> None:
    result = shop.run("daily_sales_export")
    assert result.success
    exported = shop.folder / "outbound" / "daily_sales"
    with duckdb.connect() as connection:
        rows, revenue, last, months = connection.execute(
            "select count(*), sum(revenue), max(sales_date), count(distinct sales_month) from read_parquet(?)",
            [str(exported / "*/*.parquet")],
        ).fetchall()[0]
    assert (rows, str(revenue), last) == (140, "14014.00", shop.today)
    listing = json.loads((exported / "_latest.json").read_text())
    assert listing["rows"] == rows
    assert date.fromisoformat(listing["last_sales_date"]) == last
    assert len(listing["files"]) == months == metadata(result, "daily_sales_export")["files written"]


def test_a_second_run_ends_with_the_same_state(shop: Shop) -> None:
    first = shop.run()
    files, segments = shop.files(), shop.segments()
    written = {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*.parquet")}
    second = shop.run()
    assert first.success
    assert second.success
    assert shop.files() == files
    pd.testing.assert_frame_equal(shop.segments(), segments)
    assert metadata(second, "daily_sales_export")["files written"] == 0
    assert {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*.parquet")} == written


def test_a_month_that_was_removed_from_the_mart_is_removed_from_the_export(shop: Shop) -> None:
    shop.run("daily_sales_export")
    before = set(shop.files())
    shop.build(days=1)
    assert shop.run("daily_sales_export").success
    month = f"outbound/daily_sales/sales_month={shop.today:%Y-%m}/daily_sales.parquet"
    assert set(shop.files()) == {month, "outbound/daily_sales/_latest.json"}
    assert len(before) > 2


def test_an_empty_mart_fails_and_does_not_change_the_export(shop: Shop) -> None:
    shop.run("daily_sales_export")
    before = shop.files()
    shop.build(days=0)
    assert "daily_sales is empty" in failure_of(shop.run("daily_sales_export"), "daily_sales_export")
    assert shop.files() == before


def failure_of(result: dg.ExecuteInProcessResult, name: str) -> str:
    (event,) = [event for event in result.get_step_failure_events() if event.step_key == f"consumers__{name}"]
    assert event.step_failure_data.user_failure_data is not None
    return str(event.step_failure_data.user_failure_data.description)


def test_a_failed_error_check_stops_only_the_consumers_of_the_mart(shop: Shop) -> None:
    shop.evaluate(passed=False)
    result = shop.run()
    assert not result.success
    for name in ("revenue_report", "daily_sales_export"):
        assert "daily_sales (job nightly) failed the check daily_totals_add_up" in failure_of(result, name)
    assert len(shop.segments()) == 90
    assert shop.files() == {}
    shop.evaluate(passed=True)
    assert shop.run().success


def test_a_mart_that_was_never_built_stops_its_consumer(shop: Shop) -> None:
    shop.instance.wipe_assets([dg.AssetKey("product_margins")])
    assert "product_margins (job nightly) was never built" in failure_of(shop.run("revenue_report"), "revenue_report")


def test_without_a_full_day_the_report_fails_with_a_reason(shop: Shop) -> None:
    shop.build(days=1)
    assert "no full day yet" in failure_of(shop.run("revenue_report"), "revenue_report")
