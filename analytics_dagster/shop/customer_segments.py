"""Writes the customer segments to a table of the warehouse, with a plot, sizes and a quality check."""

from __future__ import annotations

import dagster as dg
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from analytics_dagster.assets.consumers import GROUP, ConsumerInputs
from analytics_dagster.shop import chart_style, select
from analytics_dagster.shop.segmentation import NO_STRUCTURE_BELOW, Segmentation, segment
from analytics_dagster.warehouse import Table

TABLE = Table(GROUP, "customer_segments")

_COLUMNS = (
    ("customer_id", "varchar", pa.string(), "The customer."),
    ("segment", "varchar", pa.string(), "The name of the customer's segment."),
    ("cluster", "integer", pa.int32(), "The cluster, from the most to the least valuable."),
    ("as_of_date", "date", pa.date32(), "The last day with sales."),
    ("recency_days", "integer", pa.int32(), "Days since the last order."),
    ("order_count", "integer", pa.int32(), "The number of orders."),
    ("revenue", "decimal(16,2)", pa.decimal128(16, 2), "The revenue of the orders before tax."),
)
"""Name, SQL type, Arrow type and description of each column."""

COLUMNS = dg.TableSchema(columns=[dg.TableColumn(name, sql, description=text) for name, sql, _, text in _COLUMNS])


def materialize(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    """Segment the customers and replace the table."""
    columns = ("customer_id", "as_of_date", "recency_days", "order_count", "tenure_days")
    query = select(inputs.tables["customer_lifetime_value"], columns, ["revenue"], order_by="customer_id")
    customers = inputs.warehouse.read(query)
    segmentation = segment(customers)
    score, scores = segmentation.silhouette, segmentation.silhouettes
    segmented = customers.assign(segment=segmentation.segments, cluster=segmentation.clusters)
    rows = inputs.warehouse.replace(TABLE, _typed(segmented))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "dagster/column_schema": COLUMNS,
            "dagster/table_name": f"{TABLE.schema}.{TABLE.name}",
            "silhouette": dg.MetadataValue.null() if score is None else round(score, 4),
            "silhouette by number of clusters": {str(count): round(value, 4) for count, value in scores.items()},
            "segments": dg.MetadataValue.md(_sizes(segmented)),
            "plot": dg.MetadataValue.md(f"![Customers by segment]({chart_style.png_url(draw(segmented))})"),
        },
        check_results=[_quality(segmentation)],
    )


def draw(segmented: pd.DataFrame) -> Figure:
    """Return a scatter plot of customers by days since the last order and revenue, coloured by segment."""
    with chart_style.style():
        figure = Figure(figsize=(8, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.set(xlabel="Days since the last order", ylabel="Revenue to date", yscale="log")
        axes.set_xscale("function", functions=(_root, _square))  # a logarithmic axis has no zero
        axes.minorticks_off()
        if not segmented.empty:
            ticks = [tick for tick in (0, 1, 3, 7, 14, 30, 60, 120, 240, 365) if tick <= segmented.recency_days.max()]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_xlim(-0.7, segmented.recency_days.max() * 1.05 + 1)
        axes.yaxis.set_major_formatter(chart_style.money)
        axes.grid(visible=True, axis="both")
        # Spread customers of the same day, in a reproducible way.
        spread = np.random.default_rng(0).uniform(-0.4, 0.4, len(segmented))
        for colour, (name, group) in zip(chart_style.COLOURS, _by_size(segmented), strict=False):
            axes.scatter(
                group.recency_days + spread[group.index],
                group.revenue.clip(lower=1),
                s=16,
                color=colour,
                alpha=0.6,
                linewidths=0,
                label=f"{name}  {len(group):,}",
            )
        if not segmented.empty:
            figure.legend(loc="outside upper left", ncols=6, handletextpad=0.1, columnspacing=1.6, markerscale=1.8)
        return figure


def _root(days: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    root: npt.NDArray[np.float64] = np.sqrt(np.maximum(days, -1) + 1)
    return root


def _square(root: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.square(root) - 1


def _typed(segmented: pd.DataFrame) -> pd.DataFrame:
    """Return the table's columns in the types of the warehouse: dates, and decimals for money."""
    columns = {
        name: pa.array(segmented[name], from_pandas=True).cast(kind, safe=False) for name, _, kind, _ in _COLUMNS
    }
    return pd.DataFrame({name: pd.array(one, dtype=pd.ArrowDtype(one.type)) for name, one in columns.items()})


def _by_size(segmented: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    groups = [(str(name), group) for name, group in segmented.groupby("segment")]
    return sorted(groups, key=lambda item: (-len(item[1]), item[0]))


def _sizes(segmented: pd.DataFrame) -> str:
    head = "| segment | customers | share | orders (median) | days away (median) | revenue |"
    lines = [head, "| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {len(group):,} | {len(group) / len(segmented):.0%} | {group.order_count.median():.0f} "
        f"| {group.recency_days.median():.0f} | ${group.revenue.sum():,.0f} |"
        for name, group in _by_size(segmented)
    ]
    return "\n".join(lines)


def _quality(segmentation: Segmentation) -> dg.AssetCheckResult:
    score = segmentation.silhouette
    description = "There are too few different customers to cluster: all are in one segment."
    if score is not None:
        description = f"The silhouette score is {score:.2f}; segments are distinct from {NO_STRUCTURE_BELOW}."
    return dg.AssetCheckResult(
        check_name="segments_are_distinct",
        passed=score is not None and score >= NO_STRUCTURE_BELOW,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={"threshold": NO_STRUCTURE_BELOW},
    )
