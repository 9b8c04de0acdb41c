"""The warehouse of the chosen dbt target, for Python beside dbt: open late, say who holds it, close soon."""

from __future__ import annotations

from analytics_dagster.warehouse.duckdb_file import Hold, open_duckdb
from analytics_dagster.warehouse.kinds import Kind, count_writers, duckdb_path, kind_of
from analytics_dagster.warehouse.names import Table, quoted
from analytics_dagster.warehouse.resource import POOL, Warehouse, build_warehouse

__all__ = [
    "POOL",
    "Hold",
    "Kind",
    "Table",
    "Warehouse",
    "build_warehouse",
    "count_writers",
    "duckdb_path",
    "kind_of",
    "open_duckdb",
    "quoted",
]
