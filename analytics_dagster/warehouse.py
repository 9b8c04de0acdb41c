"""The warehouse of the chosen dbt target, for Python beside dbt: open late, say who holds it, close soon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import tenacity

from analytics_dagster.errors import WarehouseError
from analytics_dagster.profile import Target
from analytics_dagster.settings import variable_name

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

POOL = "warehouse"
"""The concurrency pool of every step that touches the warehouse; its limit is the number of writers it takes."""

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, named as dbt's manifest names it."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The quoted name for use in SQL."""
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """Reads and writes tables of the warehouse that dbt builds.

    DuckDB files are opened for the length of one call, read-only where nothing is written, so that no other
    process is kept out longer than needed.
    """

    adapter: str
    path: str
    lock_timeout: float

    def read(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""
        with self._connect(read_only=True) as connection:
            return connection.execute(sql).df()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows; unlike `read` it needs no pandas."""
        with self._connect(read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def replace(self, table: Table, frame: pd.DataFrame) -> int:
        """Write a data frame as the whole content of a table, at once; return its number of rows."""
        with self._connect(read_only=False) as connection:
            connection.register("incoming", frame)
            connection.execute("begin")
            connection.execute(f"create schema if not exists {_quoted(table.schema)}")
            connection.execute(f"create or replace table {table.sql} as from incoming")
            connection.execute("commit")
            return len(frame)

    @contextmanager
    def _connect(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        require_duckdb(self.adapter)
        connection = open_duckdb(Path(self.path), timeout=self.lock_timeout, read_only=read_only)
        try:
            yield connection
        finally:
            connection.close()


def build_warehouse(target: Target, project_dir: Path, *, lock_timeout: float) -> Warehouse:
    """Return the warehouse resource of a dbt target; opens nothing."""
    path = str(duckdb_path(target, project_dir) or "")
    return Warehouse(adapter=target.adapter, path=path, lock_timeout=lock_timeout)


def duckdb_path(target: Target, project_dir: Path) -> Path | None:
    """Return the absolute path of the target's DuckDB file, or None where the target has none.

    dbt resolves a relative path against the project's folder, where it runs.
    """
    path = target.credentials.get("path")
    if target.adapter != "duckdb" or not isinstance(path, str) or path == ":memory:" or "://" in path or ":" in path:
        return None
    return (project_dir / path).resolve()


def require_duckdb(adapter: str) -> None:
    """Raise `WarehouseError` unless the adapter is one that Python assets can read and write."""
    if adapter != "duckdb":
        raise WarehouseError(
            f"Python assets can't read a warehouse of type {adapter!r} yet.",
            remedy="Choose a DuckDB target, or leave these assets out of the run.",
        )


def wait_for_file(path: Path, *, timeout: float) -> None:
    """Wait until no other process holds a DuckDB file, so that dbt finds it free; make its folder.

    ``timeout`` is in seconds. Raises `WarehouseError` that says who holds the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        open_duckdb(path, timeout=timeout, read_only=False).close()


def open_duckdb(path: Path, *, timeout: float, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, waiting up to ``timeout`` seconds for the process that holds it.

    Raises `WarehouseError` that says who holds the file, or why it can't be opened.
    """
    import duckdb  # noqa: PLC0415 - 60 MB that a process which only loads the definitions does not need

    if read_only and not path.exists():
        raise WarehouseError(
            f"The warehouse {path} does not exist yet.", remedy="Build it first: run a schedule group's job."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_held),
        wait=tenacity.wait_exponential(multiplier=0.1, max=2.0),
        stop=tenacity.stop_after_delay(timeout),
        before_sleep=_Announcement(path),
        reraise=True,
    )
    try:
        return waiting(duckdb.connect, str(path), read_only=read_only)
    except duckdb.IOException as error:
        if not _is_held(error):
            raise WarehouseError(
                f"The warehouse {path} can't be opened: {error}", remedy="See that the path and its rights are right."
            ) from error
        raise WarehouseError(
            f"The warehouse {path} is held by {_holder(error)}; waited {timeout:g} s.",
            remedy="Let it end or close it, then run again; "
            f"{variable_name('warehouse_lock_timeout')} sets how long to wait.",
        ) from error


class _Announcement:
    """Says once, and then every half minute, for whom an opening waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def __call__(self, state: tenacity.RetryCallState) -> None:
        waited = state.seconds_since_start or 0.0
        if state.outcome is not None and waited >= self._next:
            self._next = waited + 30
            holder = _holder(state.outcome.exception())
            dg.get_dagster_logger().warning(f"waiting for the warehouse {self._path}, which {holder} holds")


def _is_held(error: BaseException | None) -> bool:
    return "Could not set lock on file" in str(error)


def _holder(error: BaseException | None) -> str:
    match = _HOLDER.search(str(error))
    return f"process {match['pid']} ({match['program']})" if match else "another process"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
