"""The ledger of landed files: a table beside the raw tables that records which files were loaded or rejected.

Each load appends its entries in the dlt package of the rows. An entry counts only if dlt completed the package
(`_dlt_loads.status = 0`): the files of a killed load are still new; loading them again is idempotent. If a raw table
does not exist, its entries are ignored: to reload a table, drop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from analytics_dagster.ingestion.landing import LandedFile
from analytics_dagster.text import printable

LEDGER = "_landed_files"
"""The name of the ledger's table."""

LEDGER_COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("table_name", "path", "status", "reason", "moved_to", "content_hash"), "text"),
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
    """The result of one version of a file.

    ``reason`` says why a file was rejected, or what users should know about a loaded one. ``moved_to`` is the path to
    which a rejected file is moved after the entry is stored. ``content_hash`` is None if an earlier version loaded it.
    ``recorded_at`` is the same for all files of one load.
    """

    file: LandedFile
    status: FileStatus
    row_count: int = 0
    reason: str | None = None
    moved_to: str | None = None
    content_hash: str | None = None
    recorded_at: datetime | None = None

    def row(self, table_name: str) -> dict[str, Any]:
        """Return the entry as a row of the ledger's table."""
        entry = {**asdict(self), "status": self.status.value}
        row = {"table_name": table_name, **entry.pop("file"), **entry}
        return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def latest(rows: Iterable[Mapping[str, Any]]) -> dict[str, LedgerEntry]:
    """Return the last entry of each path; ``rows`` of the ledger are in the order of recording."""
    return {
        row["path"]: LedgerEntry(
            file=LandedFile(row["path"], row["size"], row["modified"].astimezone(timezone.utc)),
            status=FileStatus(row["status"]),
            row_count=row["row_count"],
            reason=row["reason"],
            moved_to=row["moved_to"],
            content_hash=row.get("content_hash"),  # an earlier version had none
            recorded_at=row["recorded_at"],
        )
        for row in rows
    }


def new_files(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LandedFile]:
    """Return the files that are not in the ledger or have changed since, oldest change first.

    A quarantined file that exists at its old path was put back, or a killed load did not move it: it is new.
    """
    known = {entry.file for entry in ledger.values() if entry.moved_to is None}
    new = (file for file in files if replace(file, path=printable(file.path)) not in known)
    return sorted(new, key=lambda file: (file.modified, file.path))


def left_in_place(files: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return the rejected files that could not be moved and have not changed since."""
    here = {replace(file, path=printable(file.path)) for file in files}
    rejected = (entry for entry in ledger.values() if entry.status is FileStatus.REJECTED)
    return [entry for entry in rejected if entry.moved_to is None and entry.file in here]


def remarks(ledger: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return the files of the last load that were loaded with a remark."""
    moments = [entry.recorded_at for entry in ledger.values() if entry.recorded_at]
    loaded = (entry for entry in ledger.values() if entry.status is FileStatus.LOADED and entry.reason)
    return [entry for entry in loaded if entry.recorded_at == max(moments)]


def same_content(content_hash: str, ledger: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return the loaded files with the same content, the latest first."""
    found = (entry for entry in ledger.values() if entry.status is FileStatus.LOADED)
    return [entry for entry in reversed([*found]) if entry.content_hash == content_hash]
