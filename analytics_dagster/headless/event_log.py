"""Dagster's SQLite event log with a connection that is kept: half of a small run's CPU time went into opening them.

Named in `dagster.yaml`, Dagster's own place for it; the files are the stock storage's, so either can read the other's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# No public name for the storage, nor a setting for its pool: `_connect` is overridden, and a test compares what both
# storages hold after a run, and fails when the stock one no longer goes through `_connect`.
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

_MOST_OPEN = 8
_SECONDS_TO_WAIT_FOR_A_LOCK = 30


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage, which keeps one connection open for each of the runs that it last looked at."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        """Return the storage that `dagster.yaml` describes: `base_dir` is the folder of its files."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # The stock storage holds this lock for as long, so one connection a file is enough.
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def delete_events(self, run_id: str) -> None:
        """Delete a run's events, and let go of its file."""
        super().delete_events(run_id)
        self._close(run_id)

    def dispose(self) -> None:
        """Close every connection."""
        for shard in list(self._engines):
            self._close(shard)
        super().dispose()

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


def _relax(connection: Any, _: Any) -> None:
    # In WAL mode a crash of the process loses nothing by it; a crash of the machine may lose the last events.
    connection.execute("pragma synchronous = normal")
