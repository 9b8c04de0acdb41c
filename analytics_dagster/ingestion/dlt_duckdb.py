"""dlt's DuckDB destination for one database of an open connection: a file's, or a DuckLake that is attached to it.

dlt has a destination for DuckLake too, which opens connections of its own with the catalog's password in their path,
and loads several files at once, for which DuckLake was not found ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dlt
import duckdb

# dlt documents its destinations as classes to build on; these two have no shorter name.
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient


class _SqlClient(DuckDbSqlClient):
    """Names every table with its database: connections that dlt clones have that of the original no longer."""

    database = ""

    def catalog_name(self, quote: bool = True, casefold: bool = True) -> str | None:  # noqa: ARG002, FBT001, FBT002 - dlt's
        """Return the database, as the first part of a table's name."""
        return str(self.capabilities.escape_identifier(self.database)) if quote else self.database


def destination_in(connection: duckdb.DuckDBPyConnection, database: str, names: Mapping[str, Any]) -> Any:
    """Return the destination that writes into a database of an open connection, one file after the other."""

    class Client(DuckDbClient):
        def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
            super().__init__(schema, config, capabilities)
            plain = self.sql_client
            self.sql_client = _SqlClient(
                plain.dataset_name, plain.staging_dataset_name, config.credentials, capabilities
            )
            self.sql_client.database = database

    class Destination(dlt.destinations.duckdb):
        @property
        def client_class(self) -> type[DuckDbClient]:
            return Client

    return Destination(connection, destination_name="duckdb", loader_parallelism_strategy="sequential", **names)
