"""The bundled shop's consumers. This is the only package that names models of the shop's dbt project."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.assets.consumers import Consumer, ConsumerInputs, Extra

_EXTRA = Extra("analytics-dagster[shop]", frozenset({"matplotlib", "numpy", "pandas", "pyarrow", "sklearn"}))


def _segment_customers(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import customer_segments  # imports scikit-learn and matplotlib

    return customer_segments.materialize(inputs)


def _report_revenue(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import revenue_report  # imports pandas and matplotlib

    return revenue_report.materialize(inputs)


def _export_daily_sales(inputs: ConsumerInputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import daily_sales_export  # imports pandas and pyarrow

    return daily_sales_export.materialize(inputs)


CONSUMERS = (
    Consumer(
        name="customer_segments",
        description="Customer segments by recency, frequency and value of orders, found by k-means. One row per "
        "customer with an order.",
        reads=("customer_lifetime_value",),
        materialize=_segment_customers,
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
        materialize=_report_revenue,
        owners=("finance@jaffleshop.example.com",),
        kinds=("python", "matplotlib", "html"),
        extra=_EXTRA,
    ),
    Consumer(
        name="daily_sales_export",
        description="Daily sales by store as one Parquet file per month, for tools outside of the warehouse.",
        reads=("daily_sales",),
        materialize=_export_daily_sales,
        owners=("marketing@jaffleshop.example.com",),
        kinds=("python", "parquet", "file"),
        extra=_EXTRA,
    ),
)
"""The consumers of the bundled shop."""
