"""Access to the dbt target's warehouse (DuckDB, PostgreSQL, DuckLake) for Python code, and to folders and buckets."""

from __future__ import annotations

from analytics_dagster.warehouse.duckdb_file import open_duckdb
from analytics_dagster.warehouse.kinds import Kind, count_writers, duckdb_path, kind_of
from analytics_dagster.warehouse.names import Table, quoted
from analytics_dagster.warehouse.resource import POOL, Warehouse, build_warehouse

__all__ = [
    "POOL",
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
