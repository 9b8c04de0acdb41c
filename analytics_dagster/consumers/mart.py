"""A mart, as the consumers see it."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from analytics_dagster.warehouse import Table


@dataclass(frozen=True)
class Mart:
    """A dbt model that consumers may read: its dbt name, asset and table, and the schedule group that builds it."""

    name: str
    key: dg.AssetKey
    table: Table
    group: str
