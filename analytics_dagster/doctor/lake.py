"""Whether a DuckLake can be reached and written, its catalog and its files: by a table that is made and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analytics_dagster.doctor.finding import Finding, well
from analytics_dagster.doctor.warehouse import CHECK
from analytics_dagster.errors import NoWarehouseYetError
from analytics_dagster.profile import Target
from analytics_dagster.warehouse import attached

_PROBE = "analytics_dagster_probe"
_ROWS = 1000  # few rows go into the catalog and into no file


def check_lake(target: Target, project_dir: Path) -> Iterator[Finding]:
    """Yield how it stands with a DuckLake; raises `WarehouseError`, with the remedy, where it can't be used.

    One that is not there yet is not made: its data path would be settled by that, for ever.
    """
    files = ", ".join(attached.data_urls(target)) or "its data path"
    try:
        attached.connect(target, project_dir, read_only=True).close()
    except NoWarehouseYetError:
        attached.reach_files(target, project_dir)
        said = f"The catalog can be reached and {files} be listed; the DuckLake is made by the first build."
        yield well(CHECK, said)
        return
    connection = attached.connect(target, project_dir, read_only=False)
    with attached.closed_on_error(connection, target):
        connection.execute("begin")
        connection.execute(f"create schema {_PROBE}")
        connection.execute(f"create table {_PROBE}.probe as from range({_ROWS})")
        connection.execute("rollback")
    connection.close()
    yield well(CHECK, f"The DuckLake can be read and written: its catalog, and its files in {files}.")
