"""The shop's own Python assets on the marts: the only place of the package that names marts.

What starts a consumer is data, not a clock of its own: it is in the job of the schedule group that builds the last
of the marts that it reads. Within that run it waits for them, and the guard looks at them once more when it runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.assets.build import Transform
from analytics_dagster.assets.consumers.consumer import GROUP, Consumer, Inputs, build_asset
from analytics_dagster.assets.consumers.mart import Mart, find_marts
from analytics_dagster.planning.plan import Plan
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse.folder import Folder, reports_folder

__all__ = [
    "CONSUMERS",
    "GROUP",
    "Consumer",
    "Consumers",
    "Folder",
    "Inputs",
    "Mart",
    "build_consumers",
    "connect_consumers",
]


def _segment_customers(inputs: Inputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import customer_segments  # brings scikit-learn and matplotlib

    return customer_segments.materialize(inputs)


def _report_revenue(inputs: Inputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import revenue_report  # brings pandas and matplotlib

    return revenue_report.materialize(inputs)


def _export_daily_sales(inputs: Inputs) -> dg.MaterializeResult[None]:
    from analytics_dagster.shop import daily_sales_export  # brings pandas and pyarrow

    return daily_sales_export.materialize(inputs)


CONSUMERS = (
    Consumer(
        name="customer_segments",
        description="Who the shop's customers are: groups of like recency, frequency and value, found by k-means and "
        "named by what sets them apart. One row for each customer with an order.",
        reads=("customer_lifetime_value",),
        materialize=_segment_customers,
        owners=("marketing@jaffleshop.example.com",),
        kinds=("python", "scikitlearn", "table"),
        checks={"segments_are_distinct": "The silhouette of the clusters says that they are more than one cloud."},
    ),
    Consumer(
        name="revenue_report",
        description="The morning report: revenue by day and store, the best-selling products, and margins, on one "
        "page that needs no network.",
        reads=("daily_sales", "product_margins"),
        materialize=_report_revenue,
        owners=("finance@jaffleshop.example.com",),
        kinds=("python", "matplotlib", "html"),
    ),
    Consumer(
        name="daily_sales_export",
        description="What each store sold on each day, as Parquet files by month, for the tools outside of the "
        "warehouse.",
        reads=("daily_sales",),
        materialize=_export_daily_sales,
        owners=("marketing@jaffleshop.example.com",),
        kinds=("python", "parquet", "file"),
    ),
)
"""Every consumer of the bundled shop."""


@dataclass(frozen=True)
class Consumers:
    """The consumers that this dbt project has the marts for.

    ``started_with`` says which of them belong into the job of which schedule group; ``left_out`` names the marts
    that are missing, by consumer.
    """

    assets: tuple[dg.AssetsDefinition, ...]
    started_with: Mapping[str, list[dg.AssetKey]]
    left_out: Mapping[str, tuple[str, ...]]


def build_consumers(
    marts: Mapping[str, Mart],
    *,
    group_order: Sequence[str],
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
    reports: Folder,
    outbound: Folder,
    consumers: Sequence[Consumer] = CONSUMERS,
) -> Consumers:
    """Return the assets of every consumer whose marts are there; log one line for each of the others.

    ``marts`` are the models of the dbt project by name; ``group_order`` are the schedule groups, upstream first;
    ``blocking_checks`` are the checks of severity error by the asset that they check. The assets need a resource
    named ``warehouse``.
    """
    assets: list[dg.AssetsDefinition] = []
    started_with: dict[str, list[dg.AssetKey]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    for consumer in consumers:
        missing = tuple(name for name in consumer.reads if name not in marts)
        if missing:
            left_out[consumer.name] = missing
            dg.get_dagster_logger().info(
                f"consumers: {consumer.name} left out: no model {', '.join(missing)} in this dbt project"
            )
            continue
        read = [marts[name] for name in consumer.reads]
        group = max((mart.group for mart in read), key=group_order.index)
        started_with.setdefault(group, []).append(consumer.key)
        assets.append(
            build_asset(
                consumer,
                read,
                starts_with=group,
                blocking_checks=blocking_checks,
                reports=reports,
                outbound=outbound,
            )
        )
    return Consumers(assets=tuple(assets), started_with=started_with, left_out=left_out)


def models_read(nodes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return what `connect_consumers` reads of a manifest's nodes: names of the models that are consumers' marts."""
    wanted = {name for consumer in CONSUMERS for name in consumer.reads}
    return {
        unique_id: {key: node[key] for key in ("name", "schema", "alias")}
        for unique_id, node in nodes.items()
        if unique_id.startswith("model.") and node["name"] in wanted
    }


def connect_consumers(
    settings: Settings, manifest: Mapping[str, Any], plan: Plan, transform: Transform, consumers: Sequence[Consumer]
) -> Consumers:
    """Return those of the consumers that a dbt project has the marts for, connected to its assets and checks."""
    blocking_checks: dict[dg.AssetKey, list[dg.AssetCheckKey]] = defaultdict(list)
    for check in transform.checks.values():
        if check.blocking:
            blocking_checks[check.asset_key].append(check.key)
    return build_consumers(
        find_marts(manifest, transform.nodes, plan.group_of),
        group_order=[group_plan.group.name for group_plan in plan.groups],
        blocking_checks=blocking_checks,
        reports=reports_folder(settings),
        outbound=Folder(settings.outbound, settings.landing_storage_options, "outbound_url"),
        consumers=consumers,
    )
