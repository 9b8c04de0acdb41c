"""Dagster's SQLite event log with connections that stay open and a cache of which tables and columns exist.

The files are those of the stock storage: either can read what the other wrote. `sqlite_event_log` decides whether
this class is used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorageWatchdog
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

WATCHDOG = SqliteEventLogStorageWatchdog
"""Calls back with new events of a run. It has no public name."""

_MAX_OPEN_FILES = 8
_LOCK_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class _Batch:
    """Events that one thread stores in one transaction per file."""

    transactions: ExitStack
    thread: int = field(default_factory=threading.get_ident)
    connections: dict[str, Connection] = field(default_factory=dict)


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage with a connection that stays open for each of the last eight runs that it read or wrote."""

    _obs: Any

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._batch: _Batch | None = None
        self._existing: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Return the storage that `dagster.yaml` describes; ``base_dir`` is the folder of its files."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events in one transaction per file; on an exception, store none of them."""
        with self._db_lock, ExitStack() as transactions:
            self._batch = _Batch(transactions)
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        batch = self._batch
        if batch is not None and batch.thread == threading.get_ident():
            if shard not in batch.connections:
                batch.connections[shard] = batch.transactions.enter_context(self._begin(shard))
            yield batch.connections[shard]
            return
        # The stock storage holds this lock while it is connected, so one connection per file is enough.
        with self._db_lock, self._begin(shard) as connection:
            yield connection

    @contextmanager
    def _begin(self, shard: str) -> Iterator[Connection]:
        engine = self._engine(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.begin() as connection:
            yield connection

    def watch(self, run_id: str, cursor: str | None, callback: Callable[[dg.EventLogEntry, str], Any]) -> None:
        """Call ``callback`` with each new event of a run. The page of a run in the UI uses this."""
        if self._obs is None:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True)

    # A table, column or migration that exists once exists forever: no version of Dagster removes one.

    def has_table(self, table_name: str) -> bool:
        """Return whether a table exists."""
        return self._exists(super().has_table, table_name)

    def has_secondary_index(self, name: str) -> bool:
        """Return whether a data migration has been completed."""
        return self._exists(super().has_secondary_index, name)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Return whether the table of asset keys has a column."""
        return self._exists(super().has_asset_key_col, column_name)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return self._exists(partial(super()._has_asset_key_col_on_connection, conn), column_name)

    def _exists(self, check: Callable[[str], bool], name: str) -> bool:
        # One set suffices: tables, columns and migrations share no names.
        if name not in self._existing and check(name):
            self._existing.add(name)
        return name in self._existing

    def delete_events(self, run_id: str) -> None:
        """Delete the events of a run and close its file."""
        super().delete_events(run_id)
        self._close(run_id)

    def wipe(self) -> None:
        """Delete all events and their files."""
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        """Close every connection."""
        self._close_all()
        super().dispose()

    def _close_all(self) -> None:
        for shard in list(self._engines):
            self._close(shard)
        self._existing.clear()

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=2,  # creating the tables of a new file needs a second connection
                connect_args={"timeout": _LOCK_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _set_synchronous_normal)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _MAX_OPEN_FILES:
            self._close(next(iter(self._engines)))
        return self._engines[shard]

    def _close(self, shard: str) -> None:
        engine = self._engines.pop(shard, None)
        if engine is not None:
            engine.dispose()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Reads new events when the write-ahead log of a run's file changes, too.

    The stock watchdog watches the file alone. It changes when a connection is closed, which here is after the run.
    """

    def __init__(self, storage: SqliteEventLogStorage, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(storage, run_id, callback, cursor)
        path = storage.path_for_shard(run_id)
        self._patterns = [path, f"{path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - both files mean the same
        """Read the new events, whichever of the two files has changed."""
        self._process_log()


def _set_synchronous_normal(connection: Any, _: Any) -> None:
    # In WAL mode a crash of the process loses nothing; a crash of the machine may lose the last events.
    connection.execute("pragma synchronous = normal")
