"""The ledger of landed files: a table beside the raw tables that records which files were loaded or rejected.

Each load appends its entries in the dlt package of the rows. An entry counts only if dlt completed the package
(`_dlt_loads.status = 0`): the files of a killed load are still new; loading them again is idempotent. If a raw table
does not exist, its entries are ignored: to reload a table, drop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from analytics_dagster.ingestion.landing import LandedFile

LEDGER = "_landed_files"
"""The name of the ledger's table."""

LEDGER_COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("table_name", "path", "status", "reason", "moved_to"), "text"),
    **dict.fromkeys(("size", "row_count"), "bigint"),
    **dict.fromkeys(("modified", "recorded_at"), "timestamp"),
}
"""The ledger's columns and dlt's types for them; dlt adds `_dlt_load_id`."""


class FileStatus(str, Enum):
    """The result of a file."""

    LOADED = "loaded"
    """Its rows are in the table."""
    REJECTED = "rejected"
    """It is malformed: quarantined, or not moved if the landing zone can't be written."""


@dataclass(frozen=True)
class LedgerEntry:
    """The result of one version of a file; ``moved_to`` is the path of a quarantined file."""

    file: LandedFile
    status: FileStatus
    row_count: int = 0
    reason: str | None = None
    moved_to: str | None = None

    def row(self, table_name: str) -> dict[str, Any]:
        """Return the entry as a row of the ledger's table."""
        entry = {**asdict(self), "status": self.status.value, "recorded_at": datetime.now(tz=timezone.utc)}
        return {"table_name": table_name, **entry.pop("file"), **entry}


def latest(rows: Iterable[Mapping[str, Any]]) -> dict[str, LedgerEntry]:
    """Return the last entry of each path; ``rows`` of the ledger are in the order of recording."""
    return {
        row["path"]: LedgerEntry(
            file=LandedFile(row["path"], row["size"], row["modified"].astimezone(timezone.utc)),
            status=FileStatus(row["status"]),
            **{name: row[name] for name in ("row_count", "reason", "moved_to")},
        )
        for row in rows
    }


def new_files(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LandedFile]:
    """Return the files that are not in the ledger or have changed since, oldest change first.

    A quarantined file that exists at its old path again was put back, and is new.
    """
    known = {entry.file for entry in ledger.values() if entry.moved_to is None}
    return sorted((file for file in files if file not in known), key=lambda file: (file.modified, file.path))


def still_malformed(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return the rejected files that may need a correction: quarantined, or neither moved nor changed since."""
    here = set(files)
    rejected = [entry for entry in ledger.values() if entry.status is FileStatus.REJECTED]
    return [entry for entry in rejected if entry.moved_to or entry.file in here]
