"""The metrics of the revenue report: pure functions of the marts' rows and today's date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

WINDOWS = {"Last full day": 1, "Last 7 days": 7, "Last 28 days": 28}
"""The periods of the report in days; each ends with the last full day."""

CHART_DAYS = 91
"""The number of days in the chart by day: 13 weeks."""

MARGIN_WEEKS = 26
"""The number of weeks in the chart of margins."""


@dataclass(frozen=True)
class Period:
    """The sales of a period, in the shop's currency before tax.

    ``previous_revenue`` is the revenue of the period before, of the same length; for one day it is that of the same day
    one week earlier. It is None if the shop was not open for all of it.
    """

    name: str
    first: date
    last: date
    orders: int
    revenue: float
    gross_profit: float
    previous_revenue: float | None

    @property
    def change(self) -> float | None:
        """The growth of revenue over the previous period, as a fraction; None without previous revenue."""
        return self.revenue / self.previous_revenue - 1 if self.previous_revenue else None

    @property
    def margin(self) -> float | None:
        """Gross profit as a fraction of revenue; None without revenue."""
        return self.gross_profit / self.revenue if self.revenue else None


def last_full_day(daily: pd.DataFrame, today: date) -> date | None:
    """Return the last day with rows before ``today`` (UTC), or None."""
    ended = daily.loc[daily.sales_date < pd.Timestamp(today), "sales_date"]
    return None if ended.empty else pd.Timestamp(ended.max()).date()


def periods(daily: pd.DataFrame, last: date) -> list[Period]:
    """Return the report's periods; ``daily`` has one row per store and day, ``last`` is the last full day."""
    opened = pd.Timestamp(daily.sales_date.min()).date()
    return [_period(daily, name, days, last, opened) for name, days in WINDOWS.items()]


def revenue_by_day(daily: pd.DataFrame, last: date) -> pd.DataFrame:
    """Return ``revenue`` of all stores and its ``average`` of 7 days, by day, for the last `CHART_DAYS` days."""
    by_day = daily[daily.sales_date <= pd.Timestamp(last)].groupby("sales_date")[["revenue"]].sum()
    days: pd.DataFrame = by_day.assign(average=by_day.revenue.rolling(7, min_periods=7).mean()).tail(CHART_DAYS)
    return days


def revenue_by_store(daily: pd.DataFrame, last: date) -> pd.DataFrame:
    """Return each store's revenue and target of the last 28 days, by name, largest revenue first.

    The target of a store without one is NaN.
    """
    days = max(WINDOWS.values())
    by_store = _between(daily, last - timedelta(days=days - 1), last).groupby("store_name")
    totals = by_store[["revenue"]].sum().assign(revenue_target=by_store.revenue_target.sum(min_count=1))
    stores: pd.DataFrame = totals.sort_values("revenue", ascending=False)
    return stores


def margin_by_week(daily: pd.DataFrame, last: date) -> pd.Series[float]:
    """Return gross profit as a fraction of revenue for the last `MARGIN_WEEKS` full weeks, which end on Sunday."""
    by_day = daily[daily.sales_date <= pd.Timestamp(last)].groupby("sales_date")[["revenue", "gross_profit"]].sum()
    weeks = by_day.resample("W-SUN").sum()
    whole = weeks[(weeks.index <= pd.Timestamp(last)) & (weeks.revenue > 0)].tail(MARGIN_WEEKS)
    margins: pd.Series[float] = whole.gross_profit / whole.revenue
    return margins


def top_products(margins: pd.DataFrame, last: date, count: int = 10) -> tuple[date, pd.DataFrame] | None:
    """Return the first day of a month and its best-selling products, one row each; None without sales.

    The month is the last one that ended by the last full day, or the current month if no earlier one has sales.
    """
    if margins.empty:
        return None
    current = pd.Timestamp(last + timedelta(days=1)).replace(day=1)
    ended = margins.loc[margins.sales_month < current, "sales_month"]
    month = ended.max() if not ended.empty else margins.sales_month.max()
    products = margins[margins.sales_month == month].sort_values(["revenue", "sku"], ascending=[False, True])
    return pd.Timestamp(month).date(), products.head(count)


def _period(daily: pd.DataFrame, name: str, days: int, last: date, opened: date) -> Period:
    first = last - timedelta(days=days - 1)
    step = timedelta(days=7 if days == 1 else days)
    rows = _between(daily, first, last)
    before = _between(daily, first - step, last - step)
    return Period(
        name=name,
        first=first,
        last=last,
        orders=int(rows.order_count.sum()),
        revenue=round(float(rows.revenue.sum()), 2),
        gross_profit=round(float(rows.gross_profit.sum()), 2),
        previous_revenue=round(float(before.revenue.sum()), 2) if first - step >= opened else None,
    )


def _between(daily: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    rows: pd.DataFrame = daily[daily.sales_date.between(pd.Timestamp(first), pd.Timestamp(last))]
    return rows
