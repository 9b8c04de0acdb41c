"""Maintains a DuckLake: expires snapshots, merges small files and deletes unreferenced files.

Source of the steps and their order: DuckLake's documentation of maintenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class LakeRetention:
    """How long snapshots and unreferenced files are kept.

    Unreferenced files are kept for some hours, since a query may still read an expired snapshot and a build may be
    writing files that no snapshot refers to yet.
    """

    snapshot_days: float = 7.0
    file_hours: float = 24.0


@dataclass(frozen=True)
class LakeSize:
    """The files and bytes of the current tables of a DuckLake, and its number of snapshots."""

    files: int
    bytes: int
    snapshots: int


def measure(lake: duckdb.DuckDBPyConnection, name: str) -> LakeSize:
    """Return the size of a DuckLake; ``name`` is the name of its database."""
    [sizes] = lake.execute(
        "select coalesce(sum(file_count + delete_file_count), 0), coalesce(sum(file_size_bytes), 0), "
        "(select count(*) from ducklake_snapshots($1)) from ducklake_table_info($1)",
        [name],
    ).fetchall()
    return LakeSize(*map(int, sizes))


def maintain(lake: duckdb.DuckDBPyConnection, name: str, retention: LakeRetention) -> Mapping[str, int]:
    """Run all steps, and return the number of tables, snapshots or files that each one processed.

    ``name`` is the name of the database. Each step is atomic, so an interrupted run is continued by the next one.
    """
    older = f"older_than => now() - interval '{retention.snapshot_days * 24 * 60:.0f} minutes'"
    unreferenced = f"older_than => now() - interval '{retention.file_hours * 60:.0f} minutes'"
    steps = {
        "tables with rows moved out of the catalog": "ducklake_flush_inlined_data(?)",
        "snapshots expired": f"ducklake_expire_snapshots(?, {older})",
        "tables with files merged": "ducklake_merge_adjacent_files(?)",
        "tables with deleted rows removed": "ducklake_rewrite_data_files(?)",
        "old files deleted": f"ducklake_cleanup_old_files(?, {unreferenced})",
        "orphans deleted": f"ducklake_delete_orphaned_files(?, {unreferenced})",
    }
    return {what: len(lake.execute(f"call {call}", [name]).fetchall()) for what, call in steps.items()}
