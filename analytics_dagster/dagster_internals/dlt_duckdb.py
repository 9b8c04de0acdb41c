"""dlt's DuckDB destination for one database of an open connection: a file, or an attached DuckLake.

Reason: dlt's destination takes an open connection, but does not put the database into the names of its queries. dlt's
DuckLake destination opens new connections with the catalog's password in their path, and loads in parallel,
which DuckLake does not support. `DuckDbClient` and `DuckDbSqlClient` are no public API.
Cost of the public alternative (the database as the default schema of each connection): loading fails if another
attached database has a schema of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dlt
import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from analytics_dagster.dagster_internals.guard import available, require_member, require_parameters


def destination_in(connection: duckdb.DuckDBPyConnection, database: str, names: Mapping[str, Any]) -> Any:
    """Return the destination that loads into a database of an open connection, one file at a time.

    ``names`` are dlt's options for the names of schemas.
    """
    options = {"destination_name": "duckdb", "loader_parallelism_strategy": "sequential", **names}
    make_class = available("dlt.destinations.impl.duckdb.duck.DuckDbClient", _probe, "setting a default schema instead")
    if make_class is not None:
        return make_class(database)(connection, **options)
    schema = '"' + database.replace('"', '""') + '".main'
    return dlt.destinations.duckdb(DuckDbCredentials(connection, local_config={"schema": schema}), **options)


def _probe() -> Any:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    require_member(DuckDbClient, "__init__", "self", "schema", "config", "capabilities")
    require_member(DuckDbSqlClient, "catalog_name", "self", "quote", "casefold")
    require_parameters(DuckDbSqlClient, "dataset_name", "staging_dataset_name", "credentials", "capabilities")

    def make_class(database: str) -> Any:
        class SqlClient(DuckDbSqlClient):
            # Connections that dlt clones do not have the default database of the original.
            def catalog_name(self, quote: bool = True, casefold: bool = True) -> str | None:  # noqa: ARG002, FBT001, FBT002 - dlt's
                return str(self.capabilities.escape_identifier(database)) if quote else database

        class Client(DuckDbClient):
            def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
                super().__init__(schema, config, capabilities)
                stock = self.sql_client
                self.sql_client = SqlClient(
                    stock.dataset_name, stock.staging_dataset_name, config.credentials, capabilities
                )

        class Destination(dlt.destinations.duckdb):
            @property
            def client_class(self) -> type[DuckDbClient]:
                return Client

        return Destination

    return make_class
