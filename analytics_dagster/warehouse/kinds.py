"""What kind of warehouse a dbt target is, and so how many runs may write it at once."""

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
"""How many runs write at once where the warehouse takes several and no setting says how many."""


class Kind(str, Enum):
    """The kinds of warehouses that differ in who may write them, or in how Python opens them."""

    FILE = "a DuckDB file"
    """One process at a time, reader or writer."""
    LAKE = "a DuckLake"
    """Readers at any time, and one writing run: with two dbt builds at once 9 of 20 failed (docs/warehouses.md)."""
    DUCKDB = "DuckDB without a file of its own"
    """MotherDuck, or files that are attached to a database in memory; one writer unless the setting says more."""
    POSTGRES = "PostgreSQL"
    """Many readers and writers."""
    OTHER = "another warehouse"
    """Whatever else dbt has an adapter for: many readers and writers."""


def kind_of(target: Target) -> Kind:
    """Return what kind of warehouse a target is."""
    if target.adapter == "postgres":
        return Kind.POSTGRES
    if target.adapter != "duckdb":
        return Kind.OTHER
    if _is_lake(target):
        return Kind.LAKE
    return Kind.FILE if is_file_path(target.credentials.get("path")) else Kind.DUCKDB


def _is_lake(target: Target) -> bool:
    """Return whether the relations of a DuckDB target are in a DuckLake, by the marks that dbt-duckdb goes by."""
    main = str(target.credentials.get("path") or "")
    if target.credentials.get("is_ducklake") or main.lower().startswith("ducklake:"):
        return True
    attached: list[Mapping[str, Any]] = [one for one in target.credentials.get("attach") or [] if isinstance(one, dict)]
    return any(
        one.get("alias") == target.database and (one.get("is_ducklake") or "ducklake:" in str(one.get("path")).lower())
        for one in attached
    )


def duckdb_path(target: Target, project_dir: Path) -> Path | None:
    """Return the absolute path of the target's DuckDB file, or None where the target has none.

    dbt resolves a relative path against the project's folder, where it runs.
    """
    return (project_dir / target.credentials["path"]).resolve() if kind_of(target) is Kind.FILE else None


def count_writers(settings: Settings, target: Target) -> int:
    """Return how many runs may write the warehouse at once.

    Raises `SettingsError` where the setting asks for more than a DuckDB file or a DuckLake takes.
    """
    asked = settings.warehouse_writers
    kind = kind_of(target)
    if asked is not None and asked > 1 and kind in {Kind.FILE, Kind.LAKE}:
        path = duckdb_path(target, settings.project_dir)
        what = f"the DuckDB file {path}, which one process" if path else "a DuckLake, which one run of dbt"
        raise SettingsError(
            f"{variable_name('warehouse_writers')} is {asked}, but the warehouse of the target {target.name!r} is "
            f"{what} can write at a time.",
            remedy="Unset it, or choose a target whose warehouse takes several writers.",
        )
    return asked or (1 if target.adapter == "duckdb" else WRITERS)
