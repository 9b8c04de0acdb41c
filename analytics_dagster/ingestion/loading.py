"""Loads the new files of the landing zone into a raw table. Loading a file again is idempotent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from logging import Logger
from typing import Any

import pyarrow as pa

from analytics_dagster.errors import NoWarehouseYetError
from analytics_dagster.ingestion.columns import ARROW_TYPES, agree, combine, fit
from analytics_dagster.ingestion.dedupe import could_be_newer, newest
from analytics_dagster.ingestion.destination import Store, columns_of, open_store
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.ledger import LEDGER, FileStatus, LedgerEntry, latest, new_files, still_malformed
from analytics_dagster.ingestion.parsing import MalformedFileError, Parsed, parse
from analytics_dagster.ingestion.tables import FILE_COLUMN, DataType, LandedTable
from analytics_dagster.ingestion.writing import write
from analytics_dagster.warehouse import Table, Warehouse

BATCH_BYTES = 64 * 2**20
"""The approximate size of the files in one load package: held in memory, and loaded again after a kill."""

READERS = 8
"""The number of files that are read in parallel: reading from an object store is mostly waiting."""

_LOG_INTERVAL = 15.0  # seconds


@dataclass(frozen=True)
class LoadReport:
    """The result of one load of a table.

    ``unreadable`` has the paths and reasons of files that could not be opened; they stay new. ``malformed`` has the
    files of this load and of earlier ones that need a correction. ``row_count`` is None if the table does not
    exist. ``superseded`` counts the rows that were not written since a newer version exists.
    """

    files: int = 0
    size: int = 0
    rows: int = 0
    superseded: int = 0
    rejected: tuple[LedgerEntry, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    malformed: tuple[LedgerEntry, ...] = ()
    new_columns: tuple[str, ...] = ()
    load_ids: tuple[str, ...] = ()
    row_count: int | None = None
    newest_cursor: Any = None


def load_table(table: LandedTable, landing: Landing, warehouse: Warehouse, log: Logger) -> LoadReport:
    """Load the new files of a table; without new files, only read the warehouse.

    Malformed files are quarantined and reported. Raises `LandingZoneError`, `WarehouseError`, or dlt's errors.
    """
    target = Table(table.schema, table.identifier)
    listed = landing.list_files(table)
    files, held = new_files(listed, {}), False
    with suppress(NoWarehouseYetError), open_store(warehouse, read_only=True) as store:
        held = bool(columns_of(store, target))
        files = new_files(listed, _ledger(store, table) if held else {})
        if not files and (held or not table.is_typed):
            return _with_table(LoadReport(), table, store, listed, landing)
    size = sum(file.size for file in files) / 2**20
    log.info(f"{target.sql}: {len(files):,} new of {len(listed):,} landed files, {size:,.1f} MiB")
    if not files and not table.is_typed:
        log.warning(
            f"{target.sql} can't be created before its first file arrives: the type of these columns is unknown: "
            f"{', '.join(table.untyped) or 'every column'}. Declare landing.columns or each column's data_type."
        )
        return LoadReport()
    with open_store(warehouse, read_only=False) as store:
        return _load(table, landing, store, files, listed, log)


def _load(
    table: LandedTable,
    landing: Landing,
    store: Store,
    files: Sequence[LandedFile],
    listed: Sequence[LandedFile],
    log: Logger,
) -> LoadReport:
    target = Table(table.schema, table.identifier)
    before = columns_of(store, target)
    _warn_of_changed_types(table, before, log)
    report = LoadReport()
    for batch in _batches(files) if files else [[]]:
        expected = {**table.columns, **columns_of(store, target)}
        read = _read(table, landing, batch, expected, log)
        malformed = [(file, str(error)) for file, error in read if isinstance(error, MalformedFileError)]
        denied = [(file.path, "permission denied") for file, error in read if isinstance(error, PermissionError)]
        good = [(file, parsed) for file, parsed in read if isinstance(parsed, Parsed)]
        rejected = [_quarantine(landing, file, reason, log) for file, reason in malformed]
        loaded = [LedgerEntry(file, FileStatus.LOADED, row_count=parsed.table.num_rows) for file, parsed in good]
        rows, count = _rows(table, store, good, expected)
        report = replace(report, unreadable=(*report.unreadable, *denied))
        if rows is None and not rejected and not loaded:
            continue
        _delete_rows_of_empty_files(table, store, good)
        load_id = write(store, table, rows, [*rejected, *loaded])
        written = 0 if rows is None else rows.num_rows
        report = replace(
            report,
            files=report.files + len(loaded),
            size=report.size + sum(entry.file.size for entry in loaded),
            rows=report.rows + written,
            superseded=report.superseded + count - written,
            rejected=(*report.rejected, *rejected),
            load_ids=(*report.load_ids, load_id),
        )
        log.info(f"{target.sql}: {report.files:,} of {len(files):,} files loaded, {report.rows:,} rows")
    added = tuple(name for name in columns_of(store, target) if before and name not in before)
    return _with_table(replace(report, new_columns=added), table, store, listed, landing)


def _with_table(
    report: LoadReport, table: LandedTable, store: Store, listed: Sequence[LandedFile], landing: Landing
) -> LoadReport:
    """Return the report with the malformed files and the present content of the table."""
    rejected = still_malformed(listed, _ledger(store, table))
    malformed = tuple(entry for entry in rejected if entry.moved_to is None or landing.exists(entry.moved_to))
    target = Table(table.schema, table.identifier)
    columns = columns_of(store, target)
    if not columns:
        return replace(report, malformed=malformed)
    cursor = f'max("{table.cursor}")' if table.cursor in columns else "null"
    row = store.query(f"select count(*) as row_count, {cursor} as newest from {target.sql}").to_pylist()[0]  # noqa: S608
    return replace(report, malformed=malformed, row_count=row["row_count"], newest_cursor=row["newest"])


def _ledger(store: Store, table: LandedTable) -> dict[str, LedgerEntry]:
    place = Table(table.schema, LEDGER)
    if not columns_of(store, place):
        return {}
    loads = Table(table.schema, "_dlt_loads").sql
    rows = store.query(
        f"select files.* from {place.sql} as files join {loads} as loads "  # noqa: S608
        "on loads.load_id = files._dlt_load_id and loads.status = 0 "
        "where files.table_name = ? order by files.recorded_at, files._dlt_load_id",
        [table.identifier],
    )
    return latest(rows.to_pylist())


def _batches(files: Sequence[LandedFile]) -> Iterator[list[LandedFile]]:
    batch: list[LandedFile] = []
    size = 0
    for file in files:
        if batch and size + file.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    yield batch


def _read(
    table: LandedTable, landing: Landing, batch: Sequence[LandedFile], expected: Mapping[str, DataType], log: Logger
) -> list[tuple[LandedFile, Parsed | Exception]]:
    def read(file: LandedFile) -> Parsed | Exception:
        try:
            parsed = parse(landing.read(file.path), table.format, file.path)
            return fit(parsed, expected, [*table.primary_key])
        except (MalformedFileError, FileNotFoundError, PermissionError) as error:
            return error

    results = list[tuple[LandedFile, Parsed | Exception]]()
    logged = time.monotonic()
    with ThreadPoolExecutor(READERS) as readers:
        for file, result in zip(batch, readers.map(read, batch), strict=True):
            results.append((file, result))
            if isinstance(result, FileNotFoundError):
                log.info(f"{file.path} was deleted after it was listed")
            if time.monotonic() - logged > _LOG_INTERVAL:
                logged = time.monotonic()
                log.info(f"{table.identifier}: read {len(results):,} of {len(batch):,} files")
    return results


def _rows(
    table: LandedTable,
    store: Store,
    good: Sequence[tuple[LandedFile, Parsed]],
    expected: Mapping[str, DataType],
) -> tuple[pa.Table | None, int]:
    """Return the rows to write, with their files, or None if no column is known; and the number of rows read."""
    parsed = [one for _, one in good]
    types = {**table.columns, **agree(parsed, expected, table.format)}
    types.pop(FILE_COLUMN, None)
    if not types:
        return None, 0
    if not good:
        empty = {name: pa.array([], ARROW_TYPES[data_type]) for name, data_type in types.items()}
        return pa.table(empty).append_column(FILE_COLUMN, pa.array([], pa.string())), 0
    rows = combine(parsed, types)
    names = [pa.repeat(file.path, one.table.num_rows) for file, one in good]
    rows = rows.append_column(FILE_COLUMN, pa.chunked_array(names, pa.string()))
    if not table.primary_key:
        return rows, rows.num_rows
    cursor = table.cursor if table.cursor in types else None
    held = _held_versions(table, store, rows, cursor) if cursor else None
    return newest(rows, table.primary_key, cursor, held), rows.num_rows


def _held_versions(table: LandedTable, store: Store, rows: pa.Table, cursor: str) -> pa.Table | None:
    target = Table(table.schema, table.identifier)
    needed = [*table.primary_key, cursor]
    if not rows.num_rows or not set(needed) <= set(columns_of(store, target)):
        return None
    condition, parameters = could_be_newer(rows, cursor)
    selected = ", ".join(f'"{name}"' for name in needed)
    return store.query(f"select {selected} from {target.sql} where {condition}", parameters)  # noqa: S608


def _delete_rows_of_empty_files(table: LandedTable, store: Store, good: Sequence[tuple[LandedFile, Parsed]]) -> None:
    """Delete the rows of files that are now empty: replacing rows by file needs at least one row."""
    target = Table(table.schema, table.identifier)
    empty = [file.path for file, parsed in good if not parsed.table.num_rows]
    if empty and not table.primary_key and FILE_COLUMN in columns_of(store, target):
        marks = ", ".join("?" * len(empty))
        store.execute(f"delete from {target.sql} where {FILE_COLUMN} in ({marks})", empty)  # noqa: S608


def _quarantine(landing: Landing, file: LandedFile, reason: str, log: Logger) -> LedgerEntry:
    moved_to = landing.quarantine(file, reason)
    where = f"moved to {moved_to}" if moved_to else "not moved: the landing zone can't be written"
    log.warning(f"{file.path} is malformed: {reason}; {where}")
    return LedgerEntry(file, FileStatus.REJECTED, reason=reason, moved_to=moved_to)


def _warn_of_changed_types(table: LandedTable, held: Mapping[str, DataType], log: Logger) -> None:
    for name, declared in table.columns.items():
        if held.get(name, declared) != declared:
            log.warning(
                f"{table.schema}.{table.identifier}: {name} is declared {declared}, but is {held[name]} in the table. "
                "Drop the table to load it again with the declared type."
            )
