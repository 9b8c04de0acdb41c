"""The result of a load: what it did, and what the ledger, the landing zone and the table say after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analytics_dagster.ingestion.destination import Store, columns_of
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.ledger import LedgerEntry, left_in_place, new_files, remarks
from analytics_dagster.ingestion.ledger_table import LedgerTable
from analytics_dagster.ingestion.tables import LandedTable
from analytics_dagster.text import printable
from analytics_dagster.warehouse import Table, quoted


@dataclass(frozen=True)
class LoadReport:
    """The result of one load of a table.

    ``unreadable`` has the paths and reasons of files that could not be opened; they stay new. ``malformed`` has those
    of the files of this load and of earlier ones that need a correction, and ``remarks`` those of loaded files.
    ``row_count`` is None if the table does not exist. ``superseded`` counts the rows that were not written since a
    newer version exists, ``removed`` those that a changed file no longer has. ``known`` has the listed files that need
    no load any more, and ``left`` the others.
    """

    files: int = 0
    renamed: int = 0
    size: int = 0
    rows: int = 0
    superseded: int = 0
    removed: int = 0
    rejected: tuple[LedgerEntry, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    malformed: tuple[tuple[str, str], ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    new_columns: tuple[str, ...] = ()
    load_ids: tuple[str, ...] = ()
    row_count: int | None = None
    newest_cursor: Any = None
    known: tuple[LandedFile, ...] = ()
    left: tuple[LandedFile, ...] = ()


def with_table(
    report: LoadReport, table: LandedTable, store: Store, place: Table, listed: Sequence[LandedFile], landing: Landing
) -> LoadReport:
    """Return the report with the state of the files and of the table; ``place`` is the table in the warehouse."""
    columns = columns_of(store, place)
    ledger = LedgerTable(store, place).read()
    moved = {entry.file for entry in report.rejected if entry.moved_to}
    left = [file for file in new_files(listed, ledger if columns else {}) if file not in moved]
    gone = moved.union(left)
    report = replace(
        report,
        malformed=tuple(_malformed(table, landing, listed, ledger).items()),
        remarks=tuple((entry.file.path, entry.reason or "") for entry in remarks(ledger)),
        known=tuple(file for file in listed if file not in gone),
        left=tuple(left),
    )
    if not columns:
        return report
    cursor = quoted(table.cursor) if table.cursor in columns else "null"
    sql = f"select count(*) as row_count, max({cursor}) as newest from {place.sql}"  # noqa: S608 - quoted
    try:
        [row] = store.query(sql).to_pylist()
    except (ValueError, OverflowError):  # an earlier version loaded years that Python does not have
        [row] = store.query(sql.replace(f"max({cursor})", f"cast(max({cursor}) as varchar)")).to_pylist()
    return replace(report, row_count=row["row_count"], newest_cursor=row["newest"])


def _malformed(
    table: LandedTable, landing: Landing, listed: Sequence[LandedFile], ledger: Mapping[str, LedgerEntry]
) -> dict[str, str]:
    """Return the files that need a correction, with the reasons.

    What is in the folder counts, and not only the ledger: an earlier version moved files before it recorded them.
    """
    found = {printable(path): reason for path, reason in landing.quarantined(table).items()}
    found |= {entry.file.path: entry.reason or "" for entry in left_in_place(listed, ledger)}
    # The path of a table without a wildcard does not match the second file of a name.
    moved = [(entry.moved_to, entry) for entry in ledger.values() if entry.moved_to and entry.moved_to not in found]
    return found | {path: entry.reason or "" for path, entry in moved if landing.exists(path)}
