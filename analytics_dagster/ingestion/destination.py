"""The warehouse as ingestion sees it: what a raw table holds, and where dlt writes. One class a kind of warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from analytics_dagster.ingestion.tables import DataType, sql_type
from analytics_dagster.warehouse import Table, Warehouse, open_duckdb, require_duckdb

STAGING_LAYOUT = "_dlt_staging_%s"
"""The name of the schema in which dlt stages rows; its default, `raw_staging`, could be a schema of dbt's."""


class Store(Protocol):
    """An open warehouse."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; its parameters are written `?`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement; its parameters are written `?`."""

    def columns(self, table: Table) -> dict[str, DataType]:
        """Return the columns of a table in order, with dlt's types; none if there is no such table."""

    def destination(self) -> Any:
        """Return dlt's destination for this warehouse."""


@contextmanager
def open_store(warehouse: Warehouse, *, read_only: bool) -> Iterator[Store | None]:
    """Open the warehouse for the length of a `with`; nothing of it stays open after.

    Gives None if it is to be read only and does not exist yet. Raises `WarehouseError` if another process
    holds it for longer than the setting allows, or if it is of a kind that ingestion does not know.
    """
    require_duckdb(warehouse.adapter)
    path = Path(warehouse.path)
    if read_only and not path.exists():
        yield None
        return
    connection = open_duckdb(path, timeout=warehouse.lock_timeout, read_only=read_only)
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield DuckDbStore(connection)
    finally:
        connection.close()


class DuckDbStore:
    """A DuckDB file. dlt is handed the open connection, so that the file is opened, waited for and closed once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; its parameters are written `?`."""
        return self._connection.execute(sql, list(parameters)).to_arrow_table()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement; its parameters are written `?`."""
        self._connection.execute(sql, list(parameters))

    def columns(self, table: Table) -> dict[str, DataType]:
        """Return the columns of a table in order, with dlt's types; none if there is no such table."""
        rows = self._connection.execute(
            "select column_name, data_type from information_schema.columns "
            "where table_catalog = current_catalog() and table_schema = ? and table_name = ? order by ordinal_position",
            [table.schema, table.name],
        ).fetchall()
        types: Mapping[str, DataType | None] = {name: sql_type(data_type) for name, data_type in rows}
        return {name: data_type or "text" for name, data_type in types.items()}

    def destination(self) -> Any:
        """Return dlt's destination for this warehouse."""
        import dlt  # noqa: PLC0415 - two seconds, which a run without new files does not need

        return dlt.destinations.duckdb(
            self._connection,
            naming_convention="direct",  # schema, table and columns are named as dbt and `column_name` say
            enable_dataset_name_normalization=False,
            staging_dataset_name_layout=STAGING_LAYOUT,
        )
