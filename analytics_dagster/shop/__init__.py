"""The bundled shop's consumers. This is the only package that names models of the shop's dbt project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import dagster as dg

from analytics_dagster.assets.consumers import Consumer, ConsumerInputs, Extra
from analytics_dagster.warehouse import Table

_EXTRA = Extra("analytics-dagster[shop]", frozenset({"matplotlib", "numpy", "pandas", "pyarrow", "sklearn"}))


def select(table: Table, columns: Sequence[str], amounts: Sequence[str], order_by: str = "") -> str:
    """Return the query for the rows of a mart; ``amounts`` are decimal columns, which are read as floats."""
    casts = [f"cast({name} as double precision) as {name}" for name in amounts]
    order = f" order by {order_by}" if order_by else ""
    return f"select {', '.join([*columns, *casts])} from {table.sql}{order}"  # noqa: S608 - the manifest's own name, quoted


def _materialize_in(module: str) -> Callable[[ConsumerInputs], dg.MaterializeResult[None]]:
    """Return the function `materialize` of a module, which is imported when it runs: its libraries take seconds."""

    def materialize(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
        result: dg.MaterializeResult[None] = import_module(f"{__name__}.{module}").materialize(inputs)
        return result

    return materialize


CONSUMERS = (
    Consumer(
        name="customer_segments",
        description="Customer segments by recency, frequency and value of orders, found by k-means. One row per "
        "customer with an order.",
        reads=("customer_lifetime_value",),
        materialize=_materialize_in("customer_segments"),
        owners=("marketing@jaffleshop.example.com",),
        kinds=("python", "scikitlearn", "table"),
        checks={"segments_are_distinct": "The silhouette score shows that the clusters are distinct."},
        extra=_EXTRA,
    ),
    Consumer(
        name="revenue_report",
        description="Daily report: revenue by day and store, best-selling products and margins, on one HTML page that "
        "works offline.",
        reads=("daily_sales", "product_margins"),
        materialize=_materialize_in("revenue_report"),
        owners=("finance@jaffleshop.example.com",),
        kinds=("python", "matplotlib", "html"),
        extra=_EXTRA,
    ),
    Consumer(
        name="daily_sales_export",
        description="Daily sales by store as one Parquet file per month, for tools outside of the warehouse.",
        reads=("daily_sales",),
        materialize=_materialize_in("daily_sales_export"),
        owners=("marketing@jaffleshop.example.com",),
        kinds=("python", "parquet", "file"),
        extra=_EXTRA,
    ),
)
"""The consumers of the bundled shop."""
