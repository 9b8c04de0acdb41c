"""Gives ingestion access to the warehouse: queries on raw tables, and dlt's destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.tables import DataType, sql_type
from analytics_dagster.warehouse import Table, Warehouse

if TYPE_CHECKING:
    import duckdb

STAGING_LAYOUT = "_dlt_staging_%s"
"""The name of the schema in which dlt stages rows. dlt's default, `raw_staging`, may be a schema of dbt."""

_NAMES: Mapping[str, Any] = {
    "naming_convention": "direct",  # keep the names of dbt and of `column_name`
    "enable_dataset_name_normalization": False,
    "staging_dataset_name_layout": STAGING_LAYOUT,
}


@contextmanager
def open_store(warehouse: Warehouse, *, read_only: bool) -> Iterator[Store]:
    """Open the warehouse for a `with` block.

    Raises `NoWarehouseYetError` if ``read_only`` is set and the warehouse does not exist yet, and `WarehouseError` if
    another process keeps it locked for longer than the setting allows, it can't be reached, or ingestion does not
    support its kind.
    """
    if warehouse.adapter == "postgres":
        from analytics_dagster.warehouse import postgres  # not needed for other kinds

        target = warehouse.read_profile()
        with closing(postgres.connect(target, read_only=read_only)) as server:
            yield PostgresStore(server, postgres.parameters(target))
        return
    with closing(warehouse.open_duckdb(read_only=read_only)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield DuckDbStore(connection)


class DuckDbStore:
    """A DuckDB file or a DuckLake. dlt uses the open connection, so that the file is opened only once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; its parameters are written `?`."""
        return self._connection.execute(sql, list(parameters)).to_arrow_table()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement; its parameters are written `?`."""
        self._connection.execute(sql, list(parameters))

    def destination(self) -> Any:
        """Return dlt's destination for this warehouse."""
        from analytics_dagster.dagster_internals.dlt_duckdb import destination_in  # imports dlt: two seconds

        [(database,)] = self._connection.execute("select current_database()").fetchall()
        return destination_in(self._connection, str(database), _NAMES)

    def file_format(self, rows: pa.Table) -> str | None:  # noqa: ARG002 - as for PostgreSQL
        """Return the file format in which dlt loads rows; None for dlt's default."""
        return None


class PostgresStore:
    """PostgreSQL. dlt opens its own connection; each statement here is a transaction."""

    def __init__(self, connection: Any, parameters: Mapping[str, Any]) -> None:
        self._connection = connection
        self._parameters = parameters

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; its parameters are written `?`."""
        with self._connection.cursor() as cursor:
            cursor.execute(_with_psycopg_parameters(sql), tuple(parameters))
            names = [column.name for column in cursor.description]
            rows = cursor.fetchall()
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        return pa.table(dict(zip(names, (pa.array(values) for values in columns), strict=True)))

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement; its parameters are written `?`."""
        with self._connection.cursor() as cursor:
            cursor.execute(_with_psycopg_parameters(sql), tuple(parameters))

    def destination(self) -> Any:
        """Return dlt's destination for this warehouse.

        Takes a lock until the connection is closed: dlt creates its own tables, and PostgreSQL fails the second of two
        loads that create the same table.
        """
        import dlt  # two seconds, which a run without new files does not need

        self.execute("select pg_advisory_lock(hashtext('analytics_dagster ingestion'))")
        named = {"user": "username", "dbname": "database"}
        known = {"host", "port", "user", "password", "dbname", "connect_timeout"}
        credentials = {named.get(key, key): value for key, value in self._parameters.items() if key in known}
        query = {key: str(value) for key, value in self._parameters.items() if key not in known}
        return dlt.destinations.postgres({**credentials, "query": query}, **_NAMES)

    def file_format(self, rows: pa.Table) -> str | None:
        """Return the file format in which dlt loads rows: CSV, which is ten times as fast, unless it changes values.

        dlt loads empty text in CSV as null, and can't write bytes.
        """
        for column in rows.columns:
            has_empty = pa.types.is_string(column.type) and pc.any(pc.equal(column, "")).as_py()
            if has_empty or pa.types.is_binary(column.type):
                return "insert_values"
        return "csv"


Store = DuckDbStore | PostgresStore
"""An open warehouse."""


def columns_of(store: Store, table: Table) -> dict[str, DataType]:
    """Return the columns of a table in order, with dlt's types; none if there is no such table."""
    rows = store.query(
        "select column_name, data_type from information_schema.columns where table_catalog = current_database() "
        "and table_schema = ? and table_name = ? order by ordinal_position",
        [table.schema, table.name],
    )
    return {row["column_name"]: sql_type(row["data_type"]) or "text" for row in rows.to_pylist()}


def _with_psycopg_parameters(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")
