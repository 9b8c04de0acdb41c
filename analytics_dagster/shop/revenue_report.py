"""The revenue report: one HTML page per day that works offline, and its metrics for the UI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import jinja2
import pandas as pd

from analytics_dagster.assets.consumers import ConsumerInputs
from analytics_dagster.shop import chart_style, report_charts, report_metrics, select
from analytics_dagster.shop.report_metrics import Period

FOLDER = "revenue_report"
LATEST = "latest.html"

_DAILY = ("sales_date", "store_name", "order_count"), ("revenue", "gross_profit", "revenue_target")
_MARGINS = ("sku", "product_name", "sales_month", "items_sold"), ("revenue", "supply_cost", "gross_profit")


@dataclass(frozen=True)
class RevenueReport:
    """The page, its metrics, and its first chart for a preview."""

    last: date
    periods: list[Period]
    html: str
    chart: str


def materialize(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    """Write the report of the last full day to a file with its date and to `latest.html`."""
    daily = inputs.warehouse.read(select(inputs.tables["daily_sales"], *_DAILY))
    margins = inputs.warehouse.read(select(inputs.tables["product_margins"], *_MARGINS))
    report = make_report(daily, margins, today=datetime.now(tz=timezone.utc).date())
    if report is None:
        raise dg.Failure(
            "The mart daily_sales has no full day yet, so there is nothing to report.\n"
            "  -> Load a day of orders, build the marts, and run this asset again.",
            allow_retries=False,
        )
    folder = inputs.reports / FOLDER
    dated = f"{report.last:%Y-%m-%d}.html"
    page = report.html.encode()
    for name in (dated, LATEST):
        folder.write(name, page)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(folder.path(dated)),
            "link": dg.MetadataValue.url(folder.link(dated)),
            "dagster/uri": folder.link(LATEST),
            "preview": dg.MetadataValue.md(f"{_preview(report.periods)}\n\n![Revenue by day]({report.chart})"),
            "last full day": report.last.isoformat(),
            "bytes": len(page),
            **{f"revenue, {period.name.lower()}": period.revenue for period in report.periods},
        }
    )


def make_report(daily: pd.DataFrame, margins: pd.DataFrame, *, today: date) -> RevenueReport | None:
    """Return the report, with the same bytes for the same rows, or None without a full day.

    ``daily`` has one row per store and day, ``margins`` one per product and month; ``today`` is a date in UTC.
    """
    daily = daily.assign(sales_date=pd.to_datetime(daily.sales_date))
    margins = margins.assign(sales_month=pd.to_datetime(margins.sales_month))
    last = report_metrics.last_full_day(daily, today)
    if last is None:
        return None
    periods = report_metrics.periods(daily, last)
    by_day = report_metrics.revenue_by_day(daily, last)
    by_week = report_metrics.margin_by_week(daily, last)
    top = report_metrics.top_products(margins, last)
    day_chart = report_charts.revenue_by_day(by_day)
    charts = {
        "days": chart_style.svg_url(day_chart),
        "stores": chart_style.svg_url(report_charts.revenue_by_store(report_metrics.revenue_by_store(daily, last))),
        "margins": chart_style.svg_url(report_charts.margin_by_week(by_week)) if len(by_week) > 1 else None,
        "products": chart_style.svg_url(report_charts.top_products(top[1])) if top else None,
    }
    html = _template().render(
        last=last,
        periods=periods,
        days=len(by_day),
        charts=charts,
        month=top[0] if top else None,
        products=top[1].to_dict("records") if top else [],
    )
    return RevenueReport(last=last, periods=periods, html=html, chart=chart_style.png_url(day_chart))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of products and stores are untrusted
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "amount": "${:,.0f}".format,
        "signed": "{:+.1%}".format,
        "day": lambda value: f"{value:%A}, {value.day} {value:%B %Y}",
        "month": "{:%B %Y}".format,
    }
    environment.filters.update(filters)
    return environment.get_template("revenue_report.html")


def _preview(periods: list[Period]) -> str:
    lines = ["| period | revenue | change | orders | margin |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {period.name} | ${period.revenue:,.2f} "
        f"| {'' if period.change is None else f'{period.change:+.1%}'} | {period.orders:,} "
        f"| {'' if period.margin is None else f'{period.margin:.1%}'} |"
        for period in periods
    ]
    return "\n".join(lines)
