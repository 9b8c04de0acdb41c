"""The ledger of landed files, kept beside the data: what was loaded or rejected, and so what is new.

A table of the source's schema, to which each load appends in dlt's own package with the data. An entry counts
only once dlt has completed the package (`_dlt_loads.status = 0`), so a load killed midway is as if it never
was: its files are new, and loading is such that doing it again changes nothing. Where the raw table itself is
gone, its entries count for nothing: to reload a table, drop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from analytics_dagster.ingestion.landing import LandedFile

LEDGER = "_landed_files"
"""The name of the ledger's table."""

LEDGER_COLUMNS: Mapping[str, str] = {
    "table_name": "text",
    "path": "text",
    "size": "bigint",
    "modified": "timestamp",
    "status": "text",
    "row_count": "bigint",
    "reason": "text",
    "moved_to": "text",
    "recorded_at": "timestamp",
}
"""The ledger's columns and dlt's types for them; dlt adds `_dlt_load_id`."""


class FileStatus(str, Enum):
    """What became of a file."""

    LOADED = "loaded"
    """Its rows are in the table."""
    REJECTED = "rejected"
    """It is malformed: set aside, or left where it lay if the landing zone can't be written."""


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one version of a file; ``moved_to`` is where a rejected one was set aside, if it could be."""

    file: LandedFile
    status: FileStatus
    row_count: int = 0
    reason: str | None = None
    moved_to: str | None = None

    def row(self, table_name: str) -> dict[str, Any]:
        """Return the entry as the ledger's table has it."""
        return {
            "table_name": table_name,
            "path": self.file.path,
            "size": self.file.size,
            "modified": self.file.modified,
            "status": self.status.value,
            "row_count": self.row_count,
            "reason": self.reason,
            "moved_to": self.moved_to,
            "recorded_at": datetime.now(tz=timezone.utc),
        }


def latest(rows: Iterable[Mapping[str, Any]]) -> dict[str, LedgerEntry]:
    """Return the last entry of each path, from rows of the ledger in the order of recording."""
    return {
        row["path"]: LedgerEntry(
            file=LandedFile(row["path"], row["size"], row["modified"].astimezone(timezone.utc)),
            status=FileStatus(row["status"]),
            row_count=row["row_count"],
            reason=row["reason"],
            moved_to=row["moved_to"],
        )
        for row in rows
    }


def new_files(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LandedFile]:
    """Return the files to load, oldest change first: not in the ledger, or changed since.

    A rejected file that was set aside and lies there again was put back by someone, and is new.
    """
    known = {entry.file for entry in ledger.values() if entry.moved_to is None}
    return sorted((file for file in files if file not in known), key=lambda file: (file.modified, file.path))


def waiting_for_repair(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return the rejected files that may still need someone: all set aside, and those left that are unchanged."""
    here = set(files)
    rejected = [entry for entry in ledger.values() if entry.status is FileStatus.REJECTED]
    return [entry for entry in rejected if entry.moved_to or entry.file in here]
