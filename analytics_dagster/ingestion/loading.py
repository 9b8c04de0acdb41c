"""Load what is new in the landing zone into one raw table, such that doing it again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from logging import Logger
from typing import Any

import pyarrow as pa

from analytics_dagster.ingestion.columns import ARROW_TYPES, agree, combine, fit
from analytics_dagster.ingestion.dedupe import could_be_newer, newest
from analytics_dagster.ingestion.destination import Store, open_store
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.ledger import LEDGER, FileStatus, LedgerEntry, latest, new_files, waiting_for_repair
from analytics_dagster.ingestion.parsing import MalformedFileError, Parsed, parse
from analytics_dagster.ingestion.tables import FILE_COLUMN, DataType, LandedTable
from analytics_dagster.ingestion.writing import write
from analytics_dagster.warehouse import Table, Warehouse

BATCH_BYTES = 64 * 2**20
"""About how many bytes of files one load package takes: what is held in memory, and lost when killed."""

READERS = 8
"""How many files are read at once: a read from an object store mostly waits."""

_SAY_AFTER = 15.0  # seconds


@dataclass(frozen=True)
class LoadReport:
    """What one load of a table came to.

    ``unreadable`` has the files that were there but could not be opened, with the reason: they stay new.
    ``repair`` has all rejected files that still wait for someone, from earlier loads too. ``row_count`` is None
    where the table does not exist (then ``untyped`` columns are why), ``superseded`` counts the rows that were older
    than what is held or came with them.
    """

    files: int = 0
    size: int = 0
    rows: int = 0
    superseded: int = 0
    rejected: tuple[LedgerEntry, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    repair: tuple[LedgerEntry, ...] = ()
    new_columns: tuple[str, ...] = ()
    load_ids: tuple[str, ...] = ()
    row_count: int | None = None
    newest_cursor: Any = None


@dataclass
class _Read:
    """The files of one batch, by what reading them came to."""

    good: list[tuple[LandedFile, Parsed]] = field(default_factory=list)
    malformed: list[tuple[LandedFile, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def load_table(table: LandedTable, landing: Landing, warehouse: Warehouse, log: Logger) -> LoadReport:
    """Load the new files of a table; without any, look and touch nothing.

    Raises `LandingZoneError`, `WarehouseError`, or what dlt raises. Malformed files are set aside and reported.
    """
    target = Table(table.schema, table.identifier)
    listed = landing.list_files(table)
    with open_store(warehouse, read_only=True) as store:
        held = store.columns(target) if store else {}
        ledger = _ledger(store, table) if store else {}
        files = new_files(listed, ledger if held else {})
        must_exist = not held and not table.untyped and bool(table.columns)
        if store and not files and not must_exist:
            return _report(table, store, listed, landing, {})
    log.info(f"{target.sql}: {len(files):,} new of {len(listed):,} landed files, {_mebibytes(files)}")
    if not files and not must_exist:
        log.warning(
            f"{target.sql} can't be made before its first file lands: nothing says the type of "
            f"{', '.join(table.untyped) or 'any column'}. Declare landing.columns or each column's data_type."
        )
        return LoadReport()
    with open_store(warehouse, read_only=False) as store:
        if store is None:  # only where it is opened to be read
            raise AssertionError
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
    before = store.columns(target)
    _warn_of_changed_types(table, before, log)
    total: dict[str, Any] = {"files": 0, "size": 0, "rows": 0, "superseded": 0}
    rejected: list[LedgerEntry] = []
    unreadable: list[tuple[str, str]] = []
    load_ids: list[str] = []
    for batch in _batches(files) if files else [[]]:
        expected = {**table.columns, **store.columns(target)}
        read = _read(table, landing, batch, expected, log)
        unreadable += read.unreadable
        entries = [_quarantine(landing, file, reason, log) for file, reason in read.malformed]
        rejected += entries
        entries += [LedgerEntry(file, FileStatus.LOADED, row_count=parsed.table.num_rows) for file, parsed in read.good]
        rows, count = _rows(table, store, read.good, expected)
        if rows is None and not entries:
            continue
        _forget_emptied_files(table, store, read.good)
        load_ids.append(write(store, table, rows, entries))
        total["files"] += len(read.good)
        total["size"] += sum(file.size for file, _ in read.good)
        total["rows"] += rows.num_rows if rows is not None else 0
        total["superseded"] += count - (rows.num_rows if rows is not None else 0)
        log.info(f"{target.sql}: {total['files']:,} of {len(files):,} files loaded, {total['rows']:,} rows")
    columns = store.columns(target)
    found = {
        **total,
        "rejected": tuple(rejected),
        "unreadable": tuple(unreadable),
        "load_ids": tuple(load_ids),
        "new_columns": tuple(name for name in columns if before and name not in before),
    }
    return _report(table, store, listed, landing, found)


def _report(
    table: LandedTable, store: Store, listed: Sequence[LandedFile], landing: Landing, found: Mapping[str, Any]
) -> LoadReport:
    waiting = waiting_for_repair(listed, _ledger(store, table))
    repair = tuple(entry for entry in waiting if entry.moved_to is None or landing.exists(entry.moved_to))
    target = Table(table.schema, table.identifier)
    columns = store.columns(target)
    if not columns:
        return LoadReport(**found, repair=repair)
    cursor = f'max("{table.cursor}")' if table.cursor in columns else "null"
    row = store.query(f"select count(*) as row_count, {cursor} as newest from {target.sql}").to_pylist()[0]  # noqa: S608
    return LoadReport(**found, repair=repair, row_count=row["row_count"], newest_cursor=row["newest"])


def _ledger(store: Store, table: LandedTable) -> dict[str, LedgerEntry]:
    place = Table(table.schema, LEDGER)
    if not store.columns(place):
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
) -> _Read:
    def read(file: LandedFile) -> Parsed | Exception:
        try:
            parsed = parse(landing.read(file.path), table.format, file.path)
            return fit(parsed, expected, [*table.primary_key])
        except (MalformedFileError, FileNotFoundError, PermissionError) as error:
            return error

    result = _Read()
    said = time.monotonic()
    with ThreadPoolExecutor(READERS) as readers:
        for number, (file, parsed) in enumerate(zip(batch, readers.map(read, batch), strict=True), start=1):
            if isinstance(parsed, Parsed):
                result.good.append((file, parsed))
            elif isinstance(parsed, MalformedFileError):
                result.malformed.append((file, str(parsed)))
            elif isinstance(parsed, PermissionError):
                result.unreadable.append((file.path, "permission denied"))
            else:
                log.info(f"{file.path} has gone since it was listed")
            if time.monotonic() - said > _SAY_AFTER:
                said = time.monotonic()
                log.info(f"{table.identifier}: read {number:,} of {len(batch):,} files")
    return result


def _rows(
    table: LandedTable,
    store: Store,
    good: Sequence[tuple[LandedFile, Parsed]],
    expected: Mapping[str, DataType],
) -> tuple[pa.Table | None, int]:
    """Return the rows to write, with the file of each, or None if no column is known; and how many were read."""
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
    if not rows.num_rows or not set(needed) <= set(store.columns(target)):
        return None
    condition, parameters = could_be_newer(rows, cursor)
    selected = ", ".join(f'"{name}"' for name in needed)
    return store.query(f"select {selected} from {target.sql} where {condition}", parameters)  # noqa: S608


def _forget_emptied_files(table: LandedTable, store: Store, good: Sequence[tuple[LandedFile, Parsed]]) -> None:
    """Delete the rows of files that now have none: what replaces rows by file has no row to go by."""
    target = Table(table.schema, table.identifier)
    emptied = [file.path for file, parsed in good if not parsed.table.num_rows]
    if emptied and not table.primary_key and FILE_COLUMN in store.columns(target):
        marks = ", ".join("?" * len(emptied))
        store.execute(f"delete from {target.sql} where {FILE_COLUMN} in ({marks})", emptied)  # noqa: S608


def _quarantine(landing: Landing, file: LandedFile, reason: str, log: Logger) -> LedgerEntry:
    moved_to = landing.quarantine(file, reason)
    where = f"set aside in {moved_to}" if moved_to else "left there: the landing zone can't be written"
    log.warning(f"{file.path} is malformed: {reason}; {where}")
    return LedgerEntry(file, FileStatus.REJECTED, reason=reason, moved_to=moved_to)


def _warn_of_changed_types(table: LandedTable, held: Mapping[str, DataType], log: Logger) -> None:
    for name, declared in table.columns.items():
        if held.get(name, declared) != declared:
            log.warning(
                f"{table.schema}.{table.identifier}: {name} is declared {declared}, but the table holds {held[name]}, "
                "which stays; to have the declared type, drop the table: it is then loaded anew."
            )


def _mebibytes(files: Sequence[LandedFile]) -> str:
    return f"{sum(file.size for file in files) / 2**20:,.1f} MiB"
