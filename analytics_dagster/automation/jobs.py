"""One job for each schedule group, and one for ingestion."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg

if TYPE_CHECKING:
    # What `define_asset_job` returns has no public name; only the type checker needs one.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    AssetJob: TypeAlias = UnresolvedAssetJobDefinition

GROUP_TAG = "analytics_dagster/schedule_group"
"""The tag of a run that says of which schedule group it is."""

INGESTION = "ingestion"
"""The name of the job that loads the landing zone, and of its asset group."""


def build_group_job(
    name: str,
    nodes: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey],
    consumers: Collection[dg.AssetKey],
) -> AssetJob:
    """Return the job of a schedule group: its nodes, the checks that it runs, and the consumers that start with it.

    A check of one of its assets that another group runs (a test which crosses groups) is not in it.
    """
    selection = dg.AssetSelection.assets(*nodes).without_checks() | dg.AssetSelection.checks(*checks)
    if consumers:
        selection |= dg.AssetSelection.assets(*consumers)
    return dg.define_asset_job(
        name=name,
        selection=selection,
        description=f"Builds the schedule group {name}, runs its tests, and updates the consumers that start with it.",
        tags={GROUP_TAG: name},
    )


def build_ingestion_job(tables: Collection[dg.AssetKey], checks: Collection[dg.AssetCheckKey]) -> AssetJob:
    """Return the job that loads every landed table; dbt's tests of the sources run with the groups that read them."""
    return dg.define_asset_job(
        name=INGESTION,
        selection=dg.AssetSelection.assets(*tables).without_checks() | dg.AssetSelection.checks(*checks),
        description="Loads what is new in the landing zone into the tables that the dbt sources declare.",
    )
