"""Loads the new files of the landing zone into a raw table. Loading a file again is idempotent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from logging import Logger

import pyarrow as pa

from analytics_dagster.errors import NoWarehouseYetError
from analytics_dagster.ingestion.column_types import ColumnType
from analytics_dagster.ingestion.columns import RESERVED, KnownColumns, agree, combine, fit, fits
from analytics_dagster.ingestion.conversion import ConversionError
from analytics_dagster.ingestion.destination import Store, columns_of, open_store, widen
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.ledger import FileStatus, LedgerEntry, new_files, same_content
from analytics_dagster.ingestion.ledger_table import LedgerTable
from analytics_dagster.ingestion.load_report import LoadReport, with_table
from analytics_dagster.ingestion.parsing import MalformedFileError
from analytics_dagster.ingestion.reading import ReadFile, read_files
from analytics_dagster.ingestion.row_versions import RowVersions
from analytics_dagster.ingestion.tables import FILE_COLUMN, LandedTable
from analytics_dagster.ingestion.writing import about_data, write
from analytics_dagster.text import pluralize, printable
from analytics_dagster.warehouse import Table, Warehouse

BATCH_BYTES = 64 * 2**20
"""The approximate size of the files in one load package: held in memory, and loaded again after a kill."""

_NAMED = 10  # columns in a remark


def load_table(table: LandedTable, landing: Landing, warehouse: Warehouse, log: Logger) -> LoadReport:
    """Load the new files of a table; without new files, only read the warehouse.

    Malformed files are quarantined and reported. Raises `LandingZoneError`, `WarehouseError`, or dlt's errors.
    """
    listed = landing.list_files(table)
    files, held, place = new_files(listed, {}), False, Table(table.schema, table.identifier)
    with suppress(NoWarehouseYetError), open_store(warehouse, read_only=True) as store:
        place = store.actual(place)
        held = bool(columns_of(store, place))
        files = new_files(listed, LedgerTable(store, place).read() if held else {})
        if not files and (held or not table.is_typed):
            return with_table(LoadReport(), table, store, place, listed, landing)
    size = sum(file.size for file in files) / 2**20
    log.info(f"{place.sql}: {len(files):,} new of {len(listed):,} landed files, {size:,.1f} MiB")
    if not files and not table.is_typed:
        log.warning(
            f"{place.sql} can't be created before its first file arrives: the type of these columns is unknown: "
            f"{', '.join(table.untyped) or 'every column'}. Declare landing.columns or each column's data_type."
        )
        return LoadReport()
    with open_store(warehouse, read_only=False) as store:
        place = store.actual(place)
        ledger = LedgerTable(store, place).read() if held else {}
        load = _Load(replace(table, schema=place.schema, identifier=place.name), landing, store, place, ledger, log)
        return with_table(load.run(files), table, store, place, listed, landing)


@dataclass
class _Load:
    """One load of a table: what it knows of the table, and what it has done so far."""

    table: LandedTable
    landing: Landing
    store: Store
    place: Table
    ledger: dict[str, LedgerEntry]
    log: Logger
    report: LoadReport = field(default_factory=LoadReport)
    started: datetime = field(default_factory=lambda: datetime.now(tz=timezone.utc))
    held: dict[str, ColumnType] = field(init=False)
    seen: dict[str, None] = field(init=False)

    def __post_init__(self) -> None:
        """Read the columns of the table; ``seen`` has those that a file should have."""
        self.held = columns_of(self.store, self.place)
        self.seen = dict.fromkeys([*self.held, *self._documented])

    @property
    def _documented(self) -> list[str]:
        return [*self.table.columns, *self.table.untyped]

    @property
    def _known(self) -> KnownColumns:
        declared = self.table.types
        same = {name for name, found in declared.items() if self.held.get(name, found) == found}
        return KnownColumns({**declared, **self.held}, same)

    def run(self, files: Sequence[LandedFile]) -> LoadReport:
        """Load files; without files, create an empty table."""
        before = dict(self.held)
        self._widen_to_declared()
        for batch in _batches(files) if files else [[]]:
            self._load_batch(batch)
            self.held = columns_of(self.store, self.place)
            done, rows = self.report.files, self.report.rows
            self.log.info(f"{self.place.sql}: {done:,} of {len(files):,} files loaded, {rows:,} rows")
        added = tuple(name for name in self.held if before and name not in before)
        return replace(self.report, new_columns=added)

    def _widen_to_declared(self) -> None:
        for name, declared in self.table.types.items():
            found = self.held.get(name, declared)
            try:
                if found != declared:
                    self._widen(name, declared, [])
            except ConversionError:
                self.log.warning(
                    f"{self.place.sql}: {name} is declared {declared}, but is {found} in the table. "
                    "Drop the table to load it again with the declared type."
                )

    def _load_batch(self, batch: Sequence[LandedFile]) -> None:
        read = read_files(self.table, self.landing, batch, self._known, self.log)
        rejected = {file: str(error) for file, error in read if isinstance(error, MalformedFileError)}
        denied = [(file.path, "permission denied") for file, error in read if isinstance(error, PermissionError)]
        self.report = replace(self.report, unreadable=(*self.report.unreadable, *denied))
        good = list[ReadFile]()
        for _, one in read:
            if not isinstance(one, ReadFile) or self._is_renamed(one):
                continue
            try:
                good.append(self._with_remarks(self._widened(one, good)))
            except MalformedFileError as error:
                rejected[one.file] = str(error)
        self._store(good, rejected)

    def _widened(self, one: ReadFile, others: Sequence[ReadFile]) -> ReadFile:
        """Return a file after widening the columns that need it; raises `MalformedFileError` if that fails."""
        if not one.fitted.wider:
            return one
        fitted = fit(one.parsed, self._known, self.table.primary_key)  # an earlier file may have widened them
        said = list[str]()
        for name, wider in fitted.wider.items():
            held = self.held[name]
            try:
                self._widen(name, wider, others)
            except ConversionError as error:
                reason = f"column {name!r} has values of the type {wider}, not {held}: {error}"
                raise MalformedFileError(reason) from None
            said.append(f"column {name!r} is {wider} now: values of this file did not fit {held}")
        return replace(one, fitted=fitted, remarks=(*one.remarks, *said))

    def _widen(self, name: str, wider: ColumnType, others: Sequence[ReadFile]) -> None:
        if not all(fits(other.parsed, name, wider) for other in others):
            raise ConversionError("another file has values that do not fit")
        held = self.held[name]
        widen(self.store, self.place, name, held, wider)
        self.log.warning(f"{self.place.sql}: the type of {name} is {wider} now, it was {held}")
        self.held = columns_of(self.store, self.place)

    def _with_remarks(self, one: ReadFile) -> ReadFile:
        """Return a file with remarks about columns that it lacks, and about another file with the same content."""
        columns, said = one.parsed.table.column_names, list(one.remarks)
        # JSON leaves out what is null, so only columns that the project documents are expected in it.
        expected = self._documented if one.parsed.has_json_values else self.seen
        absent = [name for name in expected if name not in columns and not name.startswith((FILE_COLUMN, RESERVED))]
        self.seen |= dict.fromkeys(columns)
        if one.parsed.table.num_rows and absent:
            more = f" and {len(absent) - _NAMED:,} more" if len(absent) > _NAMED else ""
            noun = "column" if len(absent) == 1 else "columns"
            said.append(f"it lacks the {noun} {', '.join(absent[:_NAMED])}{more}, null in its rows")
        if one.parsed.table.num_rows and not self.table.primary_key:
            copies = (entry.file.path for entry in same_content(one.content_hash, self.ledger))
            copy = next((path for path in copies if path != one.file.path), None)
            said += [f"it has the same content as {copy}: the rows of both are in the table"] if copy else []
        return replace(one, remarks=tuple(said))

    def _is_renamed(self, one: ReadFile) -> bool:
        """Return whether a file of a table without a key was renamed, after giving its rows the new path.

        With a key, loading the file again changes nothing.
        """
        path = one.file.path
        if self.table.primary_key or path in self.ledger or not one.parsed.table.num_rows:
            return False
        for entry in same_content(one.content_hash, self.ledger):
            earlier = entry.file.path
            if self.landing.exists(earlier):
                continue
            said = f"it has the content of {earlier}, which is gone: taken for the same file, and not loaded again"
            renamed = replace(entry, file=one.file, reason=said, recorded_at=self.started)
            if LedgerTable(self.store, self.place).rename(earlier, renamed):
                del self.ledger[earlier]
                self.ledger[path] = renamed
                self.report = replace(self.report, renamed=self.report.renamed + 1)
                self.log.warning(f"{path}: {said}")
                return True
        return False

    def _store(self, good: Sequence[ReadFile], rejected: Mapping[LandedFile, str]) -> None:
        """Write files; if the warehouse refuses the rows of one, reject that file and write the others."""
        try:
            self._write(good, rejected)
        except Exception as error:
            reason = about_data(error)
            if reason is None or not good:
                raise
            self.log.warning(f"{self.place.sql}: the rows of {pluralize(len(good), 'file')} are refused: {reason}")
            if len(good) == 1:
                # If this fails, too, the warehouse has a problem and not the file.
                refused = MalformedFileError(f"the warehouse refuses its rows: {reason}")
                self._write([], {**rejected, good[0].file: str(refused)})
                return
            half = len(good) // 2
            self._store(good[:half], rejected)
            self._store(good[half:], {})

    def _write(self, good: Sequence[ReadFile], rejected: Mapping[LandedFile, str]) -> None:
        rows = self._rows(good)
        if rows is None and not rejected and not good:
            return
        read, deleted = 0 if rows is None else rows.num_rows, dict[str, int]()
        if rows is not None:
            versions = RowVersions(self.table, self.store, self.place, frozenset(self.held))
            changed = versions.changed(good, self.ledger)
            rows = versions.newest(rows, changed)
            deleted = versions.delete_lost(changed, rows)
        written = 0 if rows is None else rows.num_rows
        bad = [self._rejection(file, reason) for file, reason in rejected.items()]
        loaded = [self._loaded(one, deleted.get(one.file.path, 0)) for one in good]
        load_id = write(self.store, self.table, rows, [*bad, *loaded])
        # Moved only now: if this process is killed before, the file is still new, and the next load reports it.
        moved = tuple(self._quarantine(entry) for entry in bad)
        self.ledger |= {entry.file.path: entry for entry in (*moved, *loaded)}
        self.report = replace(
            self.report,
            files=self.report.files + len(loaded),
            size=self.report.size + sum(entry.file.size for entry in loaded),
            rows=self.report.rows + written,
            superseded=self.report.superseded + read - written,
            removed=self.report.removed + sum(deleted.values()),
            rejected=(*self.report.rejected, *moved),
            load_ids=(*self.report.load_ids, load_id),
        )

    def _rows(self, good: Sequence[ReadFile]) -> pa.Table | None:
        """Return the rows of files, with their paths; None if no column is known."""
        parsed = [one.parsed for one in good]
        types = {**self.table.types, **agree(parsed, self._known, self.table.format)}
        if not types:
            return None
        names = [pa.repeat(one.file.path, one.parsed.table.num_rows) for one in good]
        return combine(parsed, types).append_column(FILE_COLUMN, pa.chunked_array(names, pa.string()))

    def _loaded(self, one: ReadFile, deleted: int) -> LedgerEntry:
        said = list(one.remarks)
        if deleted:
            said.append(f"{pluralize(deleted, 'row')} of its earlier version no longer in it: deleted from the table")
        if said:
            self.log.warning(f"{one.file.path}: {'; '.join(said)}")
        return LedgerEntry(
            file=one.file,
            status=FileStatus.LOADED,
            row_count=one.parsed.table.num_rows,
            reason="; ".join(said) or None,
            content_hash=one.content_hash,
            recorded_at=self.started,
        )

    def _rejection(self, file: LandedFile, reason: str) -> LedgerEntry:
        target = self.landing.quarantine_path(file)
        return LedgerEntry(file, FileStatus.REJECTED, reason=reason, moved_to=target, recorded_at=self.started)

    def _quarantine(self, entry: LedgerEntry) -> LedgerEntry:
        reason, target = entry.reason or "", entry.moved_to or ""
        what = printable(f"{entry.file.path} is malformed: {reason}")
        if self.landing.quarantine(entry.file, target, reason):
            self.log.warning(printable(f"{what}; moved to {target}"))
            return entry
        LedgerTable(self.store, self.place).record_not_moved(entry)
        self.log.warning(f"{what}; not moved: the landing zone can't be written")
        return replace(entry, moved_to=None)


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
