"""Dagster's SQLite event log with connections that are kept, and what it knows of its tables kept too.

Opening connections was half of a small run's CPU time, and looking up which tables and columns there are, anew for each
event, a third of the rest (measured).

Named in `dagster.yaml`, Dagster's own place for it; the files are the stock storage's, so either can read the other's.
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

# No public name for the storage, nor a setting for its pool: `_connect` is overridden, and a test compares what both
# storages hold after a run, and fails when the stock one no longer goes through `_connect`.
from dagster._core.storage.event_log import SqliteEventLogStorage

# The UI's look at a run that goes on has no public name either; a test watches a run.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorageWatchdog
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

_MOST_OPEN = 8
_SECONDS_TO_WAIT_FOR_A_LOCK = 30


@dataclass(frozen=True)
class _Batch:
    """Events that one thread stores in one transaction a file."""

    transactions: ExitStack
    thread: int = field(default_factory=threading.get_ident)
    connections: dict[str, Connection] = field(default_factory=dict)


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage, which keeps one connection open for each of the runs that it last looked at."""

    _obs: Any

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._batch: _Batch | None = None
        self._present: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Return the storage that `dagster.yaml` describes: `base_dir` is the folder of its files."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events in one transaction a file; on an exception, none of them."""
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
        # The stock storage holds this lock for as long, so one connection a file is enough.
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
        """Call back with each event of a run from now on, as the run's page in the UI asks for."""
        if self._obs is None:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True)

    # Whatever is there once, migrations of Dagster's own included, stays: none of its versions takes anything away.

    def has_table(self, table_name: str) -> bool:
        """Return whether there is a table."""
        return self._is_present(super().has_table, table_name)

    def has_secondary_index(self, name: str) -> bool:
        """Return whether a migration of data was completed."""
        return self._is_present(super().has_secondary_index, name)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Return whether the table of assets has a column."""
        return self._is_present(super().has_asset_key_col, column_name)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return self._is_present(partial(super()._has_asset_key_col_on_connection, conn), column_name)

    def _is_present(self, look: Callable[[str], bool], name: str) -> bool:
        # Tables, columns and migrations have no name in common.
        if name not in self._present and look(name):
            self._present.add(name)
        return name in self._present

    def delete_events(self, run_id: str) -> None:
        """Delete a run's events, and let go of its file."""
        super().delete_events(run_id)
        self._close(run_id)

    def wipe(self) -> None:
        """Delete all events, with their files."""
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        """Close every connection."""
        self._close_all()
        super().dispose()

    def _close_all(self) -> None:
        for shard in list(self._engines):
            self._close(shard)
        self._present.clear()

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=2,  # making a new file's tables takes a second one for a moment
                connect_args={"timeout": _SECONDS_TO_WAIT_FOR_A_LOCK, "check_same_thread": False},
            )
            event.listen(engine, "connect", _relax)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _MOST_OPEN:
            self._close(next(iter(self._engines)))
        return self._engines[shard]

    def _close(self, shard: str) -> None:
        engine = self._engines.pop(shard, None)
        if engine is not None:
            engine.dispose()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Looks for events when the log that goes before a run's file grows too.

    The stock one waits for the file itself, which changes when a connection is closed: not before the run is over.
    """

    def __init__(self, storage: SqliteEventLogStorage, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(storage, run_id, callback, cursor)
        path = storage.path_for_shard(run_id)
        self._patterns = [path, f"{path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - either file's change means the same
        """Hand on what is new, whichever of the two files has changed."""
        self._process_log()


def _relax(connection: Any, _: Any) -> None:
    # In WAL mode a crash of the process loses nothing by it; a crash of the machine may lose the last events.
    connection.execute("pragma synchronous = normal")
