"""The warehouse as a Dagster resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
from pydantic import PrivateAttr

from analytics_dagster.errors import WarehouseError
from analytics_dagster.project.profile import Target, read_target
from analytics_dagster.warehouse.duckdb_file import Hold, Run, held, open_duckdb
from analytics_dagster.warehouse.kinds import duckdb_path
from analytics_dagster.warehouse.names import Table, quoted

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

POOL = "warehouse"
"""The concurrency pool of every step that touches the warehouse; its limit is the number of writers it takes."""


class Access(Protocol):
    """An open warehouse."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""

    def frame(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""

    def replace(self, table: Table, frame: pd.DataFrame) -> None:
        """Write a data frame as the whole content of a table, at once."""

    def close(self) -> None:
        """Close it."""


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """Reads and writes tables of the warehouse that dbt builds.

    It is opened for the length of one call, read-only where nothing is written, so that no other process is kept out
    longer than needed. ``path`` is that of a DuckDB file, and empty for every other kind: these are opened by the dbt
    profile, which is read anew then, since what Dagster keeps of a resource is shown to everybody.
    """

    adapter: str
    path: str
    lock_timeout: float
    project_dir: str = ""
    profiles_dir: str = ""
    profile: str = ""
    target: str = ""

    _run: Run | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run, so that others can be told who holds the warehouse."""
        if context.instance is not None and context.run is not None:
            self._run = Run(context.instance, context.run.run_id, context.run.job_name)

    def read_profile(self) -> Target:
        """Return the target with its secrets; raises `ProfileError` where it can't be had any more."""
        return read_target(Path(self.profiles_dir), self.profile, self.target)

    @contextmanager
    def exclusively(self) -> Iterator[Hold]:
        """Hold the warehouse for a program that writes it by itself, such as dbt; it finds a DuckDB file free.

        As `locked`, and then waits for programs that know nothing of our lock (a notebook, DuckDB's shell): for as
        many seconds as the setting allows. Raises `WarehouseError` that says who holds the file.
        """
        with self.locked() as hold:
            if self.path and Path(self.path).exists():
                open_duckdb(Path(self.path), timeout=self.lock_timeout, read_only=False).close()
            yield hold

    @contextmanager
    def locked(self) -> Iterator[Hold]:
        """Keep every other step out of a DuckDB file, as `duckdb_file.held` does; else only take notes."""
        if not self.path:
            yield Hold(self._run, None)
            return
        with held(Path(self.path), self._run) as hold:
            yield hold

    def read(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""
        with self._open(read_only=True) as access:
            return access.frame(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows; unlike `read` it needs no pandas."""
        with self._open(read_only=True) as access:
            return access.rows(sql)

    def replace(self, table: Table, frame: pd.DataFrame) -> int:
        """Write a data frame as the whole content of a table, at once; return its number of rows."""
        with self._open(read_only=False) as access:
            access.replace(table, frame)
            return len(frame)

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[Access]:
        with self.locked():
            access = self._access(read_only=read_only)
            try:
                yield access
            finally:
                access.close()

    def _access(self, *, read_only: bool) -> Access:
        if self.adapter == "postgres":
            from analytics_dagster.warehouse import postgres  # only where it is one

            return postgres.PostgresAccess(postgres.connect(self.read_profile(), read_only=read_only))
        return DuckDbAccess(self.open_duckdb(read_only=read_only))

    def open_duckdb(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open a warehouse that DuckDB opens, with the target's database as the one that names without any mean.

        Raises `NoWarehouseYetError` for one that is to be read and not there yet, and `WarehouseError` for one that
        can't be opened, or which is none of DuckDB's.
        """
        if self.adapter != "duckdb":
            raise WarehouseError(
                f"Python assets work in DuckDB, DuckLake and PostgreSQL, not in a warehouse of type {self.adapter!r}.",
                remedy="Choose a target of one of these, or leave these assets out of the run: dbt needs none of them.",
            )
        if self.path:
            return open_duckdb(Path(self.path), timeout=self.lock_timeout, read_only=read_only)
        from analytics_dagster.warehouse import attached  # only where it is one

        return attached.connect(self.read_profile(), Path(self.project_dir), read_only=read_only)


class DuckDbAccess:
    """An open DuckDB."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        return self._connection.execute(sql).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""
        return self._connection.execute(sql).df()

    def replace(self, table: Table, frame: pd.DataFrame) -> None:
        """Write a data frame as the whole content of a table, at once."""
        self._connection.register("incoming", frame)
        self._connection.execute("begin")
        self._connection.execute(f"create schema if not exists {quoted(table.schema)}")
        self._connection.execute(f"create or replace table {table.sql} as from incoming")
        self._connection.execute("commit")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def build_warehouse(target: Target, project_dir: Path, *, lock_timeout: float) -> Warehouse:
    """Return the warehouse resource of a dbt target; opens nothing."""
    return Warehouse(
        adapter=target.adapter,
        path=str(duckdb_path(target, project_dir) or ""),
        lock_timeout=lock_timeout,
        project_dir=str(project_dir),
        profiles_dir=str(target.profiles_dir),
        profile=target.profile,
        target=target.name,
    )
