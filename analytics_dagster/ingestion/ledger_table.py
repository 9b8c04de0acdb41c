"""Reads and corrects the table with the ledger; new entries are appended with the rows of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analytics_dagster.ingestion.destination import Store, columns_of, in_transaction
from analytics_dagster.ingestion.ledger import LEDGER, LedgerEntry, latest
from analytics_dagster.ingestion.tables import FILE_COLUMN
from analytics_dagster.warehouse import Table


@dataclass(frozen=True)
class LedgerTable:
    """The ledger's entries of one raw table."""

    store: Store
    place: Table

    @property
    def _sql(self) -> str:
        return Table(self.place.schema, LEDGER).sql

    def read(self) -> dict[str, LedgerEntry]:
        """Return the last entry of each path, in the order of recording."""
        if not columns_of(self.store, Table(self.place.schema, LEDGER)):
            return {}
        loads = Table(self.place.schema, "_dlt_loads").sql
        rows = self.store.query(
            f"select files.* from {self._sql} as files join {loads} as loads "  # noqa: S608 - quoted
            "on loads.load_id = files._dlt_load_id and loads.status = 0 "
            "where files.table_name = ? order by files.recorded_at, files._dlt_load_id",
            [self.place.name],
        )
        return latest(rows.to_pylist())

    def rename(self, earlier: str, entry: LedgerEntry) -> bool:
        """Give the rows and the entry of a file the path of ``entry``; False if the table does not have all rows.

        Entries of still earlier versions are deleted, so that the old path counts as new if it is used again.
        """
        table = self.place.sql
        [found] = self.store.query(f"select count(*) as n from {table} where {FILE_COLUMN} = ?", [earlier]).to_pylist()  # noqa: S608 - quoted
        if found["n"] != entry.row_count:
            return False
        row, key = entry.row(self.place.name), [self.place.name, earlier]
        corrected = ("path", "size", "modified", "reason", "recorded_at")
        older = f"recorded_at < (select max(recorded_at) from {self._sql} where table_name = ? and path = ?)"  # noqa: S608 - quoted
        statements: Sequence[tuple[str, Sequence[Any]]] = (
            (f"update {table} set {FILE_COLUMN} = ? where {FILE_COLUMN} = ?", [row["path"], earlier]),  # noqa: S608 - quoted
            (f"delete from {self._sql} where table_name = ? and path = ? and {older}", [*key, *key]),  # noqa: S608 - quoted
            (
                f"update {self._sql} set {' = ?, '.join(corrected)} = ? where table_name = ? and path = ?",  # noqa: S608 - quoted
                [*(row[name] for name in corrected), *key],
            ),
        )
        in_transaction(self.store, statements)
        return True

    def record_not_moved(self, entry: LedgerEntry) -> None:
        """Record that a rejected file could not be moved."""
        row = entry.row(self.place.name)
        self.store.execute(
            f"update {self._sql} set moved_to = null where table_name = ? and path = ? and moved_to = ?",  # noqa: S608 - quoted
            [row["table_name"], row["path"], row["moved_to"]],
        )
