"""The kinds of warehouses, and how many runs may write to each at once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from analytics_dagster.dagster_internals.dbt_duckdb import is_file_path
from analytics_dagster.errors import SettingsError
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Settings, variable_name

WRITERS = 4
"""The number of concurrent writers if the warehouse takes several and no setting limits them."""


class Kind(str, Enum):
    """The kinds of warehouses that differ in their writers, or in how Python opens them."""

    FILE = "a DuckDB file"
    """One process at a time, reader or writer."""
    LAKE = "a DuckLake"
    """Readers at any time, and one writing run: with two dbt builds at once 9 of 20 failed (docs/warehouses.md)."""
    DUCKDB = "DuckDB without a file of its own"
    """MotherDuck, or files attached to an in-memory database; one writer unless the setting allows more."""
    POSTGRES = "PostgreSQL"
    """Many readers and writers."""
    OTHER = "another warehouse"
    """Any other warehouse with a dbt adapter: many readers and writers."""


def kind_of(target: Target) -> Kind:
    """Return the kind of a target's warehouse."""
    if target.adapter == "postgres":
        return Kind.POSTGRES
    if target.adapter != "duckdb":
        return Kind.OTHER
    if _is_lake(target):
        return Kind.LAKE
    return Kind.FILE if is_file_path(target.credentials.get("path")) else Kind.DUCKDB


def _is_lake(target: Target) -> bool:
    """Return whether the relations of a DuckDB target are in a DuckLake, by dbt-duckdb's rules."""
    main = str(target.credentials.get("path") or "")
    if target.credentials.get("is_ducklake") or main.lower().startswith("ducklake:"):
        return True
    attached: list[Mapping[str, Any]] = [one for one in target.credentials.get("attach") or [] if isinstance(one, dict)]
    return any(
        one.get("alias") == target.database and (one.get("is_ducklake") or "ducklake:" in str(one.get("path")).lower())
        for one in attached
    )


def duckdb_path(target: Target, project_dir: Path) -> Path | None:
    """Return the absolute path of the target's DuckDB file, or None if it has none.

    Relative paths are relative to the project's folder, where dbt runs.
    """
    return (project_dir / target.credentials["path"]).resolve() if kind_of(target) is Kind.FILE else None


def count_writers(settings: Settings, target: Target) -> int:
    """Return how many runs may write to the warehouse at once.

    Raises `SettingsError` if the setting allows more than a DuckDB file or a DuckLake takes.
    """
    writers = settings.warehouse_writers
    kind = kind_of(target)
    if writers is not None and writers > 1 and kind in {Kind.FILE, Kind.LAKE}:
        path = duckdb_path(target, settings.project_dir)
        what = f"the DuckDB file {path}, which one process" if path else "a DuckLake, which one dbt run"
        raise SettingsError(
            f"{variable_name('warehouse_writers')} is {writers}, but the warehouse of the target {target.name!r} is "
            f"{what} can write to at a time.",
            remedy="Unset it, or choose a target whose warehouse takes several writers.",
        )
    return writers or (1 if target.adapter == "duckdb" else WRITERS)
