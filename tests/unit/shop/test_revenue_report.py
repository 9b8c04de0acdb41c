"""The metrics, the page and the charts of the revenue report."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from analytics_dagster.shop.chart_style import money
from analytics_dagster.shop.report_metrics import (
    last_full_day,
    margin_by_week,
    periods,
    revenue_by_store,
    top_products,
)
from analytics_dagster.shop.revenue_report import make_report

pytestmark = pytest.mark.slow


TODAY = date(2026, 3, 31)  # a Tuesday


def sales(days: int, *, until: date = TODAY, revenue: float = 100.0) -> pd.DataFrame:
    """Return daily sales of two stores until ``until``; the second store sells half and has no target."""
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


def test_without_a_full_day_there_is_no_report() -> None:
    assert last_full_day(sales(1), TODAY) is None
    assert make_report(sales(1), products(), today=TODAY) is None


def test_revenue_is_of_full_days_and_compared_with_the_period_before() -> None:
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


def test_stores_are_ordered_by_revenue_and_may_have_no_target() -> None:
    stores = revenue_by_store(sales(40), date(2026, 3, 30))
    assert list(stores.index) == ["Philadelphia", "Brooklyn"]
    assert stores.revenue.tolist() == [2800.0, 1400.0]
    assert stores.revenue_target.iloc[0] == 28 * 120.0
    assert np.isnan(stores.revenue_target.iloc[1])


def test_margins_are_of_full_weeks() -> None:
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


def test_the_report_is_one_offline_page_with_escaped_names() -> None:
    report = make_report(sales(40), products("2026-02-01"), today=TODAY)
    assert report is not None
    assert "Monday, 30 March 2026" in report.html
    assert report.html.count('src="data:image/svg+xml;base64,') == 4
    assert "http" not in report.html
    assert "&lt;b&gt;jaffle&lt;/b&gt;" in report.html
    assert "<b>" not in report.html
    assert report == make_report(sales(40), products("2026-02-01"), today=TODAY)


def test_the_first_report_omits_charts_without_data() -> None:
    report = make_report(sales(2), products(), today=TODAY)
    assert report is not None
    assert report.html.count("data:image/svg+xml") == 2


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0"), (950, "$950"), (12_500, "$12.5k"), (3_000_000, "$3M"), (-1500, "$-1.5k")]
)
def test_amounts_on_axes_are_short(amount: float, text: str) -> None:
    assert money(amount) == text
