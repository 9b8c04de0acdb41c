"""Gives ingestion access to the warehouse: queries on raw tables, and dlt's destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.column_types import TEXT, ColumnType, sql_type, widened
from analytics_dagster.ingestion.conversion import ConversionError
from analytics_dagster.warehouse import Table, Warehouse, quoted

if TYPE_CHECKING:
    import duckdb

STAGING_LAYOUT = "_dlt_staging_%s"
"""The name of the schema in which dlt stages rows. dlt's default, `raw_staging`, may be a schema of dbt."""

_EXACT = 2**53  # up to here a double has every integer
_UNLIMITED_SCALE = 18

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

    ignores_case = True

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; its parameters are written `?`."""
        return self._connection.execute(sql, list(parameters)).to_arrow_table()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement; its parameters are written `?`."""
        self._connection.execute(sql, list(parameters))

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """The errors of a statement that this warehouse refuses, unlike those of a lost connection or a full disk."""
        import duckdb  # open already

        return duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.DataError, duckdb.IntegrityError

    def actual(self, table: Table) -> Table:
        """Return a table with the case of its present names, which DuckDB ignores and dlt does not."""
        schema = self._name("schema_name", "schemata", "catalog_name", "schema_name", [table.schema])
        name = self._name("table_name", "tables", "table_catalog", "table_schema", [schema, table.name])
        return Table(schema, name)

    def _name(self, column: str, view: str, catalog: str, schema: str, names: Sequence[str]) -> str:
        """Return the present name of a schema, or of a table in a schema; the given name if there is none."""
        *before, name = names
        where = f"{catalog} = current_database() and lower({column}) = lower(?)"
        where += f" and {schema} = ?" if before else ""
        found = self._connection.execute(
            f"select {column} from information_schema.{view} where {where} order by {column} <> ?",  # noqa: S608
            [name, *before, name],
        ).fetchall()
        return str(found[0][0]) if found else name

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

    ignores_case = False

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

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """The errors of a statement that this warehouse refuses, unlike those of a lost connection or a full disk."""
        import psycopg2  # open already

        return psycopg2.ProgrammingError, psycopg2.NotSupportedError, psycopg2.DataError, psycopg2.IntegrityError

    def actual(self, table: Table) -> Table:
        """Return the table: PostgreSQL distinguishes the case of its names, and dbt quotes them."""
        return table

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

        dlt loads empty text in CSV as null, and can't write bytes. Raises `ConversionError` for text that PostgreSQL
        does not have: dlt would leave out characters.
        """
        is_plain = True
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            if pa.types.is_string(column.type):
                if pc.any(pc.match_substring(column, "\0")).as_py():
                    raise ConversionError(f"column {name!r} has a NUL character, which PostgreSQL does not store")
                is_plain = is_plain and not pc.any(pc.equal(column, "")).as_py()
            is_plain = is_plain and not pa.types.is_binary(column.type)
        return "csv" if is_plain else "insert_values"


Store = DuckDbStore | PostgresStore
"""An open warehouse."""


def columns_of(store: Store, table: Table) -> dict[str, ColumnType]:
    """Return the columns of a table in order, with their types; none if there is no such table.

    Names are in lower case where the warehouse ignores the case, as `column_name` makes them.
    """
    fold = str.lower if store.ignores_case else str
    return {fold(row["column_name"]): _type_of(row) for row in _columns(store, table)}


def names_of(store: Store, table: Table) -> list[str]:
    """Return the names of a table's columns in order, as they are."""
    return [str(row["column_name"]) for row in _columns(store, table)]


def _columns(store: Store, table: Table) -> list[dict[str, Any]]:
    found = store.query(
        "select column_name, data_type, numeric_precision, numeric_scale from information_schema.columns "
        "where table_catalog = current_database() and table_schema = ? and table_name = ? order by ordinal_position",
        [table.schema, table.name],
    )
    return [*found.to_pylist()]


def widen(store: Store, table: Table, column: str, held: ColumnType, wider: ColumnType) -> None:
    """Change the type of a column to one that holds all its values.

    Raises `ConversionError` if the warehouse refuses it, or if a value would change.
    """
    if widened(held, wider) != wider:
        raise ConversionError(f"{wider} does not have all values of {held}")
    name = quoted(column)
    if wider.name == "double":
        [bounds] = store.query(f"select min({name}) as low, max({name}) as high from {table.sql}").to_pylist()  # noqa: S608
        if any(value is not None and abs(value) > _EXACT for value in bounds.values()):
            raise ConversionError("the table has integers that a double does not hold exactly")
    try:
        store.execute(f"alter table {table.sql} alter column {name} type {wider.sql}")
    except store.refusals as error:
        raise ConversionError(" ".join(str(error).split())) from None


def in_transaction(store: Store, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
    """Run statements with their parameters in one transaction."""
    store.execute("begin")
    try:
        for sql, parameters in statements:
            store.execute(sql, parameters)
        store.execute("commit")
    except BaseException:
        store.execute("rollback")
        raise


def _type_of(row: Mapping[str, Any]) -> ColumnType:
    found = sql_type(row["data_type"]) or TEXT
    if found.name == "decimal" and "(" not in row["data_type"]:
        # PostgreSQL has the digits in columns of their own, and none for a numeric without limits.
        limits = row["numeric_precision"], row["numeric_scale"]
        return ColumnType("decimal", *limits) if limits[0] else ColumnType("decimal", scale=_UNLIMITED_SCALE)
    return found


def _with_psycopg_parameters(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")
