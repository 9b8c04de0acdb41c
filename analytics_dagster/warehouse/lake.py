"""The upkeep of a DuckLake: every build leaves a snapshot, small files, and the files that nothing refers to any more.

Source: DuckLake's documentation of maintenance, whose order of steps this follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Upkeep:
    """How much of the past is kept: snapshots by days, and files that nothing refers to any more by hours.

    The hours are for who still reads a snapshot that has just expired, and for files that are just being written.
    """

    snapshot_days: float = 7.0
    file_hours: float = 24.0


@dataclass(frozen=True)
class Size:
    """The files of a DuckLake's tables as they are now, and its snapshots."""

    files: int
    bytes: int
    snapshots: int


def measure(lake: duckdb.DuckDBPyConnection, name: str) -> Size:
    """Return how large a DuckLake is; ``name`` is that of its database."""
    [(files, size)] = lake.execute(
        "select coalesce(sum(file_count + delete_file_count), 0), coalesce(sum(file_size_bytes), 0) "
        "from ducklake_table_info(?)",
        [name],
    ).fetchall()
    [(snapshots,)] = lake.execute("select count(*) from ducklake_snapshots(?)", [name]).fetchall()
    return Size(int(files), int(size), int(snapshots))


def maintain(lake: duckdb.DuckDBPyConnection, name: str, upkeep: Upkeep) -> Mapping[str, int]:
    """Do what is due, and return how many snapshots or files each step took away.

    ``name`` is that of the database. What is cut off does no harm: each step is whole or not at all, and the next time
    goes on with the rest.
    """
    older = f"older_than => now() - interval '{upkeep.snapshot_days * 24 * 60:.0f} minutes'"
    left = f"older_than => now() - interval '{upkeep.file_hours * 60:.0f} minutes'"
    steps = {
        "tables with rows moved out of the catalog": "ducklake_flush_inlined_data(?)",
        "snapshots expired": f"ducklake_expire_snapshots(?, {older})",
        "tables with files merged": "ducklake_merge_adjacent_files(?)",
        "tables with deleted rows left out": "ducklake_rewrite_data_files(?)",
        "old files deleted": f"ducklake_cleanup_old_files(?, {left})",
        "orphans deleted": f"ducklake_delete_orphaned_files(?, {left})",
    }
    return {what: len(lake.execute(f"call {call}", [name]).fetchall()) for what, call in steps.items()}
