"""The warehouse as a Dagster resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from analytics_dagster.errors import WarehouseError
from analytics_dagster.project.profile import Target, read_target
from analytics_dagster.warehouse.duckdb_file import LockingRun, WarehouseLock, locked_file, open_duckdb
from analytics_dagster.warehouse.kinds import duckdb_path
from analytics_dagster.warehouse.names import Table, quoted

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from analytics_dagster.warehouse.postgres import PostgresAccess

POOL = "warehouse"
"""The concurrency pool of every step that uses the warehouse; its limit is the number of concurrent writers."""


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """Reads and writes tables of the warehouse that dbt builds.

    Each call opens the warehouse and closes it, read-only for reads, to block other processes as briefly as possible.
    ``path`` is a DuckDB file, or empty for every other kind. Those are opened with the dbt profile, which each call
    reads, since Dagster shows a resource's fields to every user.
    """

    adapter: str
    path: str
    lock_timeout: float
    project_dir: str = ""
    profiles_dir: str = ""
    profile: str = ""
    target: str = ""
    variables: dict[str, Any] = Field(default_factory=dict)
    """The dbt vars that the profile reads."""

    _run: LockingRun | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run, to show other processes which run has locked the warehouse."""
        if context.instance is not None and context.run is not None:
            self._run = LockingRun(context.instance, context.run.run_id, context.run.job_name)

    def read_profile(self) -> Target:
        """Return the target with its secrets; raises `ProfileError` if the profile can't be read any more."""
        return read_target(Path(self.profiles_dir), self.profile, self.target, self.variables)

    @contextmanager
    def exclusively(self) -> Iterator[WarehouseLock]:
        """Lock the warehouse for another program, such as dbt, that opens it.

        After `locked`, waits for programs that ignore our lock (a notebook, DuckDB's shell) for as many seconds as the
        setting allows. Raises `WarehouseError` that names the process that has the file open.
        """
        with self.locked() as hold:
            if self.path and Path(self.path).exists():
                open_duckdb(Path(self.path), timeout=self.lock_timeout, read_only=False).close()
            yield hold

    def locked(self) -> AbstractContextManager[WarehouseLock]:
        """Lock a DuckDB file as `duckdb_file.locked_file` does; a warehouse without a file is not locked."""
        if not self.path:
            return nullcontext(WarehouseLock(self._run, None))
        return locked_file(Path(self.path), self._run)

    def read(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""
        with self._open(read_only=True) as access:
            return access.frame(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows, without pandas."""
        with self._open(read_only=True) as access:
            return access.rows(sql)

    def replace(self, table: Table, frame: pd.DataFrame) -> int:
        """Replace the content of a table by a data frame in one transaction; return the number of rows."""
        with self._open(read_only=False) as access:
            access.replace(table, frame)
            return len(frame)

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[DuckDbAccess | PostgresAccess]:
        with self.locked(), closing(self._access(read_only=read_only)) as access:
            yield access

    def _access(self, *, read_only: bool) -> DuckDbAccess | PostgresAccess:
        if self.adapter == "postgres":
            from analytics_dagster.warehouse import postgres  # not needed for other kinds

            return postgres.PostgresAccess(postgres.connect(self.read_profile(), read_only=read_only))
        return DuckDbAccess(self.open_duckdb(read_only=read_only))

    def open_duckdb(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open a DuckDB file or DuckLake, with the target's database as the default.

        Raises `NoWarehouseYetError` if ``read_only`` is set and it does not exist yet, and `WarehouseError` if it can't
        be opened or the warehouse is of another kind.
        """
        if self.adapter != "duckdb":
            raise WarehouseError(
                f"Python assets support DuckDB, DuckLake and PostgreSQL, not a warehouse of type {self.adapter!r}.",
                remedy="Choose a target of one of these, or exclude these assets from the run: dbt does not need them.",
            )
        if self.path:
            return open_duckdb(Path(self.path), timeout=self.lock_timeout, read_only=read_only)
        from analytics_dagster.warehouse import attached  # not needed for other kinds

        return attached.connect(self.read_profile(), Path(self.project_dir), read_only=read_only)


class DuckDbAccess:
    """An open DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        return self._connection.execute(sql).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        """Run one query and return its rows as a data frame."""
        return self._connection.execute(sql).df()

    def replace(self, table: Table, frame: pd.DataFrame) -> None:
        """Replace the content of a table by a data frame in one transaction."""
        self._connection.register("incoming", frame)
        self._connection.execute("begin")
        self._connection.execute(f"create schema if not exists {quoted(table.schema)}")
        self._connection.execute(f"create or replace table {table.sql} as from incoming")
        self._connection.execute("commit")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def build_warehouse(target: Target, project_dir: Path, *, lock_timeout: float) -> Warehouse:
    """Return the warehouse resource of a dbt target, without opening it."""
    return Warehouse(
        adapter=target.adapter,
        path=str(duckdb_path(target, project_dir) or ""),
        lock_timeout=lock_timeout,
        project_dir=str(project_dir),
        profiles_dir=str(target.profiles_dir),
        profile=target.profile,
        target=target.name,
        variables=dict(target.variables),
    )
