"""DuckDB that keeps its tables elsewhere, such as a DuckLake: opened by the profile as dbt-duckdb opens it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_dagster.errors import NoWarehouseYetError, WarehouseError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse.names import quoted

if TYPE_CHECKING:
    import duckdb

_ABSENT = ("creating a new DuckLake is explicitly disabled", "database does not exist")
_EXTENSIONS = "Install the extensions: pip install 'analytics-dagster[ducklake]', then `analytics-dagster prepare`."
_BUCKET = "Create the bucket, or correct its name in the data path."
_CATALOG = "which the profile takes from outside."
_REMEDIES = (
    ("catalog version", "Run the DuckDB that wrote this DuckLake, or attach it once with `automatic_migration: true`."),
    ("data_path", "Use the data path that this DuckLake was made with, or another metadata schema for a new one."),
    ("download extension", _EXTENSIONS),
    ("authentication failed", f"Correct the user or the password of the catalog, {_CATALOG}"),
    ("permission denied", "Let the catalog's user create schemas in its database: `grant create on database …`."),
    ("read-only transaction", f"Name the server of the catalog that takes writes, not a standby: its host, {_CATALOG}"),
    ('" does not exist', f"Create the catalog's database, or correct its name, {_CATALOG}"),
    (
        "connection to server",
        "See that the catalog's PostgreSQL runs, and that its host and port lead to it from here.",
    ),
    ("nosuchbucket", _BUCKET),
    ("404", _BUCKET),
    ("403", "Correct the key or the secret of the bucket, or give it the right to list, read and write there."),
    ("extension", _EXTENSIONS),
)
_OTHERWISE = "See that the profile's `attach` and `secrets` are right."


def connect(target: Target, project_dir: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with all that the profile attaches; names without a database mean that of the target.

    Raises `NoWarehouseYetError` for a DuckLake that is to be read and was never written, and `WarehouseError` with the
    reason and the remedy where something can't be opened or the files of a DuckLake can't be reached.
    """
    credentials = _credentials(target, project_dir, read_only=read_only)
    connection = _initialized(credentials, target)
    with closed_on_error(connection, target):
        _environment().initialize_cursor(credentials, connection)
        connection.execute(f"use {quoted(credentials.database)}")
        # An attached DuckLake has not looked at its files yet.
        list_files(connection, target)
    return connection


def connect_beside(target: Target, project_dir: Path) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the profile's extensions and secrets, and nothing attached; raises `WarehouseError`."""
    credentials = _credentials(target, project_dir, read_only=True)
    credentials.attach = []
    return _initialized(credentials, target)


@contextmanager
def closed_on_error(connection: duckdb.DuckDBPyConnection, target: Target) -> Iterator[None]:
    """Close the connection where DuckDB raises, and raise `WarehouseError` with the reason and the remedy."""
    import duckdb  # 60 MB that a process which only loads the definitions does not need

    try:
        yield
    except duckdb.Error as error:
        connection.close()
        raise _explained(error, target) from None


def _initialized(credentials: Any, target: Target) -> duckdb.DuckDBPyConnection:
    import duckdb  # see `closed_on_error`

    try:
        connection: duckdb.DuckDBPyConnection = _environment().initialize_db(credentials)
    except duckdb.Error as error:
        raise _explained(error, target) from None
    return connection


def list_files(connection: duckdb.DuckDBPyConnection, target: Target) -> None:
    """Look at the files of the DuckLakes that a profile attaches; raises DuckDB's own error where they can't be."""
    for url in data_urls(target):
        connection.execute("select count(*) from glob(?)", [f"{url.rstrip('/')}/*"])


def data_urls(target: Target) -> list[str]:
    """Return where the DuckLakes that a profile attaches keep their files, of those that are in an object store."""
    options = [one.get("options") or {} for one in target.credentials.get("attach") or []]
    urls = [str(value) for one in options for key, value in one.items() if key.lower() == "data_path"]
    return [url for url in urls if "://" in url]


def _explained(error: Exception, target: Target) -> WarehouseError:
    said = target.redact(str(error))
    if any(sign in said for sign in _ABSENT):
        return NoWarehouseYetError(
            f"The warehouse of the target {target.name!r} does not exist yet.",
            remedy="Build it first: run a schedule group's job.",
        )
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in said.lower()), _OTHERWISE)
    return WarehouseError(f"The warehouse of the target {target.name!r} can't be opened: {said}", remedy=remedy)


# What dbt-duckdb makes of a profile (its secrets, extensions and attached databases in SQL) has no public name; with
# anything else Python would open another database than dbt does. A test fails when these move.
def _credentials(target: Target, project_dir: Path, *, read_only: bool) -> Any:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials  # a second, where it is needed

    # It takes secrets and options out of what it is given.
    content = {key: value for key, value in copy.deepcopy(dict(target.credentials)).items() if key != "threads"}
    credentials = DuckDBCredentials.from_dict({"schema": "main", **content})
    for attachment in credentials.attach or []:
        if ":" not in attachment.path:
            attachment.path = str(project_dir / attachment.path)
        if read_only:
            attachment.read_only = True
            options = attachment.options or {}
            attachment.options = {key: value for key, value in options.items() if key.lower() != "read_only"}
    return credentials


def _environment() -> Any:
    from dbt.adapters.duckdb.environments import Environment  # see `_credentials`

    return Environment
