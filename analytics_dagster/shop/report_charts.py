"""The charts of the revenue report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analytics_dagster.shop import chart_style

WIDE = (9.6, 3.2)
HALF = (4.8, 3.2)

_BAR = 0.6


def revenue_by_day(days: pd.DataFrame) -> Figure:
    """Return a chart of daily revenue as bars, and of its average of seven days as a line."""
    with chart_style.style():
        figure, axes = _axes(WIDE)
        axes.bar(days.index, days.revenue, width=0.75, color=chart_style.PALE, label="Day")
        axes.plot(days.index, days.average, color=chart_style.ACCENT, linewidth=2, label="Average of 7 days")
        axes.set(ylabel="Revenue", ylim=(0, None))
        axes.yaxis.set_major_formatter(chart_style.money)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(visible=True, axis="y")
        _dates(axes)
        figure.legend(loc="outside upper right", ncols=2)
        return figure


def revenue_by_store(stores: pd.DataFrame) -> Figure:
    """Return a chart of each store's revenue, with a mark at its target."""
    with chart_style.style():
        figure, axes = _axes(HALF)
        ordered = stores.iloc[::-1]
        places = np.arange(len(ordered))
        axes.barh(ordered.index, ordered.revenue, height=_BAR, color=chart_style.ACCENT)
        low, high = places - 0.35, places + 0.35
        axes.vlines(ordered.revenue_target, low, high, colors=chart_style.INK, linewidth=2, label="Target")
        _label(axes, ordered.revenue, ordered[["revenue", "revenue_target"]].max(axis=1))
        _amounts(axes)
        if ordered.revenue_target.notna().any():
            figure.legend(loc="outside upper right")
        return figure


def margin_by_week(margins: pd.Series[float]) -> Figure:
    """Return a chart of the weekly gross margin."""
    with chart_style.style():
        figure, axes = _axes(HALF)
        axes.plot(margins.index, margins, color=chart_style.COLOURS[1], linewidth=2, marker="o", markersize=3.5)
        middle, spread = margins.mean(), max((margins.max() - margins.min()) * 0.8, 0.02)
        axes.set(ylabel="Gross margin", ylim=(middle - spread, middle + spread))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(visible=True, axis="y")
        _dates(axes)
        return figure


def top_products(products: pd.DataFrame) -> Figure:
    """Return a chart of the revenue of products, split into gross profit and supply cost."""
    with chart_style.style():
        figure, axes = _axes(WIDE)
        ordered = products.iloc[::-1]
        names, profit, cost = ordered.product_name, ordered.gross_profit, ordered.supply_cost
        axes.barh(names, profit, height=_BAR, color=chart_style.ACCENT, label="Gross profit")
        axes.barh(names, cost, left=profit, height=_BAR, color=chart_style.PALE, label="Supply cost")
        _label(axes, ordered.revenue, ordered.revenue)
        _amounts(axes)
        figure.legend(loc="outside upper right", ncols=2)
        return figure


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _amounts(axes: Axes) -> None:
    axes.set_xlabel("Revenue")
    axes.margins(x=0.1, y=0.08)
    axes.xaxis.set_major_formatter(chart_style.money)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", labelcolor=chart_style.INK)


def _dates(axes: Axes) -> None:
    axes.margins(x=0.015)
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call] # no types in matplotlib yet
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def _label(axes: Axes, amounts: pd.Series[float], ends: pd.Series[float]) -> None:
    for place, (amount, end) in enumerate(zip(amounts, ends, strict=True)):
        axes.annotate(chart_style.money(amount), (end, place), (6, 0), textcoords="offset points", va="center")
