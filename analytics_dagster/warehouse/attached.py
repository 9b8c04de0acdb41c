"""Opens DuckDB that has its tables in attached databases, such as a DuckLake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_dagster.dagster_internals.dbt_duckdb import open_profile
from analytics_dagster.errors import NoWarehouseYetError, WarehouseError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse.names import quoted

if TYPE_CHECKING:
    import duckdb

_ABSENT = ("creating a new DuckLake is explicitly disabled", "database does not exist")
_EXTENSIONS = "Install the extensions: pip install 'analytics-dagster[ducklake]', then `analytics-dagster prepare`."
_BUCKET = "Create the bucket, or correct its name in the data path."
_CATALOG = "which the profile takes from the environment."
_REMEDIES = (
    ("catalog version", "Run the DuckDB that wrote this DuckLake, or attach it once with `automatic_migration: true`."),
    ("data_path", "Use the data path that this DuckLake was created with, or another metadata schema for a new one."),
    ("download extension", _EXTENSIONS),
    ("authentication failed", f"Correct the user or the password of the catalog, {_CATALOG}"),
    ("permission denied", "Allow the catalog's user to create schemas in its database: `grant create on database …`."),
    (
        "read-only transaction",
        f"Connect to the primary server of the catalog, not to a standby: correct its host, {_CATALOG}",
    ),
    ('" does not exist', f"Create the catalog's database, or correct its name, {_CATALOG}"),
    (
        "connection to server",
        "Check that the catalog's PostgreSQL runs and that its host and port are reachable from here.",
    ),
    ("nosuchbucket", _BUCKET),
    ("404", _BUCKET),
    ("403", "Correct the key or the secret of the bucket, or grant it permission to list, read and write there."),
    ("extension", _EXTENSIONS),
)
_OTHERWISE = "Check `attach` and `secrets` in the profile."


def connect(target: Target, project_dir: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with everything that the profile attaches, and use the target's database.

    Raises `NoWarehouseYetError` if a DuckLake was never written and ``read_only`` is set, and `WarehouseError` with the
    reason and the remedy if a database can't be opened or a DuckLake's files can't be listed.
    """
    connection = _open(target, project_dir, read_only=read_only)
    with closed_on_error(connection, target):
        connection.execute(f"use {quoted(target.database)}")
        # Attaching a DuckLake does not access its files.
        list_files(connection, target)
    return connection


def connect_without_attached(target: Target, project_dir: Path) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the profile's extensions and secrets, without its databases; raises `WarehouseError`."""
    return _open(target, project_dir, read_only=True, attach=False)


@contextmanager
def closed_on_error(connection: duckdb.DuckDBPyConnection, target: Target) -> Iterator[None]:
    """Close the connection on an error of DuckDB, and raise `WarehouseError` with the reason and the remedy."""
    import duckdb  # 60 MB that a process which only loads the definitions does not need

    try:
        yield
    except duckdb.Error as error:
        connection.close()
        raise _explained(error, target) from None


def list_files(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    """List the files of the DuckLakes that a profile attaches; raises DuckDB's own error."""
    for url in data_urls(target):
        connection.execute("select count(*) from glob(?)", [f"{url.rstrip('/')}/*"])


def data_urls(target: Target) -> list[str]:
    """Return the data paths in an object store of the DuckLakes that a profile attaches."""
    options = [entry.get("options") or {} for entry in target.credentials.get("attach") or []]
    urls = [str(value) for entry in options for key, value in entry.items() if key.lower() == "data_path"]
    return [url for url in urls if "://" in url]


def _open(target: Target, project_dir: Path, *, read_only: bool, attach: bool = True) -> duckdb.DuckDBPyConnection:
    import duckdb  # see `closed_on_error`

    try:
        return open_profile(target.credentials, project_dir, read_only=read_only, attach=attach)
    except duckdb.Error as error:
        raise _explained(error, target) from None


def _explained(error: Exception, target: Target) -> WarehouseError:
    message = target.redact(str(error))
    if any(sign in message for sign in _ABSENT):
        return NoWarehouseYetError(
            f"The warehouse of the target {target.name!r} does not exist yet.",
            remedy="Build it first: run a schedule group's job.",
        )
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in message.lower()), _OTHERWISE)
    return WarehouseError(f"The warehouse of the target {target.name!r} can't be opened: {message}", remedy=remedy)
