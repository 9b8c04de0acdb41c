"""Decides which rows of a batch are written, and which rows of changed files are deleted, against the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_dagster.ingestion.dedupe import could_be_newer, lost, newest
from analytics_dagster.ingestion.destination import Store
from analytics_dagster.ingestion.ledger import FileStatus, LedgerEntry
from analytics_dagster.ingestion.reading import ReadFile
from analytics_dagster.ingestion.tables import FILE_COLUMN, LandedTable
from analytics_dagster.warehouse import Table, quoted

_PARAMETERS = 500  # of one statement


@dataclass(frozen=True)
class RowVersions:
    """The rows of a table in the warehouse that files of a batch may replace; ``columns`` are the table's."""

    table: LandedTable
    store: Store
    place: Table
    columns: frozenset[str]

    def changed(self, files: Sequence[ReadFile], ledger: Mapping[str, LedgerEntry]) -> list[str]:
        """Return the files of which an earlier version was loaded, and which replace that version as a whole."""
        if self.table.primary_key and self.table.changed_files == "merge":
            return []
        earlier = (ledger.get(one.file.path) for one in files)
        loaded = [entry.file.path for entry in earlier if entry and entry.status is FileStatus.LOADED]
        return loaded if {FILE_COLUMN, *self.table.primary_key} <= self.columns else []

    def newest(self, rows: pa.Table, changed: Sequence[str]) -> pa.Table:
        """Return the rows to write: with a key, the newest version of each row unless the warehouse has a newer one.

        What the warehouse has of a changed file does not count: it is no longer what that file says.
        """
        if not self.table.primary_key:
            return rows
        cursor = self.table.cursor if self.table.cursor in rows.column_names else None
        return newest(rows, self.table.primary_key, cursor, self._held(rows, cursor, changed) if cursor else None)

    def _held(self, rows: pa.Table, cursor: str, changed: Sequence[str]) -> pa.Table | None:
        needed = [*self.table.primary_key, cursor, FILE_COLUMN]
        if not rows.num_rows or not self.columns.issuperset(needed):
            return None
        condition, parameters = could_be_newer(rows, cursor)
        found = self.store.query(f"select {_names(needed)} from {self.place.sql} where {condition}", parameters)  # noqa: S608 - quoted
        is_changed = pc.is_in(found.column(FILE_COLUMN).cast(pa.string()), pa.array(changed, pa.string()))
        return found.filter(pc.invert(is_changed)).drop_columns([FILE_COLUMN])

    def delete_lost(self, changed: Sequence[str], rows: pa.Table) -> dict[str, int]:
        """Delete the rows that changed files no longer have; return their number by path.

        Without a key, dlt replaces the rows of a file, but only if it has at least one row.
        """
        if not self.table.primary_key:
            written = set(pc.unique(rows.column(FILE_COLUMN)).to_pylist())
            self._delete((FILE_COLUMN,), [(path,) for path in changed if path not in written])
            return {}
        key, deleted = self.table.primary_key, dict[str, int]()
        for paths in _chunks(changed, 1):
            sql = f"select {_names((*key, FILE_COLUMN))} from {self.place.sql} where {FILE_COLUMN} in {_marks(paths)}"  # noqa: S608 - quoted
            held = self.store.query(sql, paths)
            gone = lost(held, rows, key).to_pylist() if held.num_rows else []
            self._delete(key, [tuple(row[name] for name in key) for row in gone])
            for row in gone:
                deleted[row[FILE_COLUMN]] = deleted.get(row[FILE_COLUMN], 0) + 1
        return deleted

    def _delete(self, columns: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
        for some in _chunks(values, len(columns)):
            marks = f"({', '.join(_marks(one) for one in some)})"
            sql = f"delete from {self.place.sql} where ({_names(columns)}) in {marks}"  # noqa: S608 - quoted
            self.store.execute(sql, [value for one in some for value in one])


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(quoted, columns))


def _marks(values: Sequence[Any]) -> str:
    return f"({', '.join('?' * len(values))})"


def _chunks(values: Sequence[Any], columns: int) -> Iterator[Sequence[Any]]:
    most = _PARAMETERS // columns
    for start in range(0, len(values), most):
        yield values[start : start + most]
