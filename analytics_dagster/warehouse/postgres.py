"""Opens, reads and writes a PostgreSQL warehouse, with the connection parameters of dbt-postgres."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analytics_dagster.errors import WarehouseError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse.names import Table, quoted

if TYPE_CHECKING:
    import pandas as pd
    import psycopg2.extensions
    import pyarrow as pa

_SAME_NAME = ("host", "port", "user", "keepalives_idle", "sslmode", "sslcert", "sslkey", "sslrootcert")
_CONNECT_TIMEOUT = 10  # seconds; dbt-postgres's own default
_REMEDIES = (
    ("authentication failed", "Correct the user or the password that the profile takes from the environment."),
    ("no pg_hba.conf entry", "Allow this user to connect from here (pg_hba.conf), or set `sslmode` in the profile."),
    ("does not exist", "Create it, or correct the name that the profile takes from the environment."),
)
_OTHERWISE = "Check that the server runs and that the profile's host and port are reachable from here."

_DATES = frozenset({1082, 1114, 1184})
_WITH_ZONE = 1184
_DTYPES: Mapping[int, str] = {
    **dict.fromkeys((20, 21, 23), "int64"),
    **dict.fromkeys((700, 701, 1700), "float64"),
    **dict.fromkeys((25, 1042, 1043), "str"),
    16: "bool",
}
"""The types of a data frame by PostgreSQL's object ids (`pg_type.oid`, the same in every database)."""

_SQL_TYPES: Mapping[str, str] = {
    "bool": "boolean",
    **dict.fromkeys(("int8", "int16"), "smallint"),
    "int32": "integer",
    **dict.fromkeys(("int64", "uint8", "uint16", "uint32", "uint64"), "bigint"),
    "float": "real",
    **dict.fromkeys(("halffloat", "double"), "double precision"),
    **dict.fromkeys(("date32[day]", "date64[ms]"), "date"),
    **dict.fromkeys(("string", "large_string"), "text"),
}
"""PostgreSQL's types by the names of Arrow's."""


def parameters(target: Target) -> Mapping[str, Any]:
    """Return libpq's connection parameters, including the password.

    Sources: libpq's documentation, and dbt-postgres, which has other names for some of them.
    """
    credentials = target.credentials
    found = {name: credentials[name] for name in _SAME_NAME if credentials.get(name)}
    options = ["-c timezone=UTC"]
    if credentials.get("role"):
        options.append(f"-c role={_escaped(credentials['role'])}")
    if credentials.get("search_path"):
        options.append(f"-c search_path={_escaped(credentials['search_path'])}")
    return {
        **found,
        "dbname": target.database,
        "password": str(credentials.get("password") or credentials.get("pass") or ""),
        "connect_timeout": int(credentials.get("connect_timeout") or _CONNECT_TIMEOUT),
        "application_name": "analytics_dagster",
        "options": " ".join(options),
    }


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace(" ", "\\ ")


def connect(target: Target, *, read_only: bool) -> psycopg2.extensions.connection:
    """Connect with one transaction per statement; raises `WarehouseError` with the reason and the remedy."""
    import psycopg2  # installed with dbt-postgres

    try:
        connection = psycopg2.connect(**parameters(target))
    except psycopg2.OperationalError as error:
        message = target.redact(str(error).strip())
        remedy = next((remedy for sign, remedy in _REMEDIES if sign in message), _OTHERWISE)
        raise WarehouseError(
            f"The PostgreSQL warehouse of the target {target.name!r} can't be opened: {message}", remedy=remedy
        ) from None
    connection.set_session(readonly=read_only, autocommit=True)
    return connection


class PostgresAccess:
    """An open PostgreSQL warehouse."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def frame(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame with the types that DuckDB returns: no Decimal, no date."""
        import pandas as pd  # installed with what needs frames

        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall()
            described = [(column.name, column.type_code) for column in cursor.description or ()]
        columns = zip(*rows, strict=True) if rows else ((),) * len(described)
        return pd.DataFrame(
            {name: _series(values, oid) for (name, oid), values in zip(described, columns, strict=True)}
        )

    def replace(self, table: Table, frame: pd.DataFrame) -> None:
        """Replace the content of a table by a data frame in one transaction.

        The table keeps its views and grants, unless its columns change.
        """
        import pyarrow as pa  # installed with what writes frames
        from pyarrow import csv

        content = pa.Table.from_pandas(frame, preserve_index=False)
        columns = ", ".join(f"{quoted(field.name)} {_sql_type(field)}" for field in content.schema)
        buffer = io.BytesIO()
        csv.write_csv(content, buffer, csv.WriteOptions(include_header=False))
        buffer.seek(0)
        with self._connection, self._connection.cursor() as cursor:  # one transaction
            cursor.execute(f"create schema if not exists {quoted(table.schema)}")
            cursor.execute(f"create temporary table incoming ({columns}) on commit drop")
            cursor.copy_expert("copy incoming from stdin with (format csv)", buffer)
            if _columns(cursor, table.sql) != _columns(cursor, "incoming"):
                cursor.execute(f"drop table if exists {table.sql}")
                cursor.execute(f"create table {table.sql} (like incoming)")
            cursor.execute(f"delete from {table.sql}")  # noqa: S608 - quoted
            cursor.execute(f"insert into {table.sql} table incoming")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _series(values: Sequence[Any], oid: int) -> pd.Series[Any]:
    import pandas as pd  # see `frame`

    if oid in _DATES:
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=oid == _WITH_ZONE)
    dtype = _DTYPES.get(oid, "object")
    if dtype in {"int64", "bool"} and None in values:
        dtype = "float64" if dtype == "int64" else "object"
    return pd.Series(values, dtype=dtype)


def _columns(cursor: psycopg2.extensions.cursor, table: str) -> list[tuple[Any, ...]]:
    """Return names and types of a table's columns, in order; ``table`` is its quoted name."""
    cursor.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        (table,),
    )
    return list(cursor.fetchall())


def _sql_type(field: pa.Field) -> str:
    """Return PostgreSQL's type for a column; raises `WarehouseError` if there is none."""
    import pyarrow as pa  # see `replace`

    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if str(kind) in _SQL_TYPES:
        return _SQL_TYPES[str(kind)]
    raise WarehouseError(
        f"The column {field.name!r} has the type {kind}, which PostgreSQL does not have.",
        remedy="Cast it to text, a number, a date or a time before writing it.",
    )
