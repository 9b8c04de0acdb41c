"""The bundled shop in a temporary folder: environment, commands, and access to Dagster and the warehouse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Shop:
    """A landing zone, a warehouse and a Dagster home in one folder."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables for commands on this shop."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANALYTICS_", "DAGSTER_"))
        }
        return {
            **inherited,
            "ANALYTICS_DBT_PROJECT_DIR": str(ROOT / "dbt_project"),
            "ANALYTICS_DBT_TARGET_PATH": str(self.folder / "target"),
            "ANALYTICS_DATA_DIR": str(self.folder / "data"),
            "ANALYTICS_WAREHOUSE_PATH": str(self.folder / "warehouse.duckdb"),
            "DAGSTER_HOME": str(self.folder / "home"),
        }

    def deliver(self, now: str) -> str:
        """Write sample data up to a time; return the output of the script."""
        return self.run(sys.executable, "scripts/sample_data.py", "--landing", str(self.landing), "--now", now).stdout

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `analytics-dagster build`."""
        return self.run(str(BIN / "analytics-dagster"), "build", *arguments, check=False)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the root of the checkout with the environment of this shop."""
        done = subprocess.run(
            command, cwd=ROOT, env=dict(self.environment), capture_output=True, text=True, check=False, timeout=500
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def landing(self) -> Path:
        """The landing zone."""
        return self.folder / "data" / "landing"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query in the warehouse."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def state(self) -> dict[str, tuple[int, str]]:
        """Return the number of rows and a digest of every table of dbt and the consumers.

        Columns with load ids are not included.
        """
        columns = self.query(
            "select table_schema, table_name, list(column_name order by column_name) from information_schema.columns "
            "where table_schema in ('marts', 'consumers', 'seeds') and column_name not like '%load_id' group by all"
        )
        state = {}
        for schema, table, names in columns:
            listed = ", ".join(f'"{name}"' for name in names)
            rows, digest = self.query(
                f"select count(*), coalesce(sum(hash({listed})::hugeint), 0)::text from {schema}.{table}"  # noqa: S608
            )[0]
            state[f"{schema}.{table}"] = (rows, digest)
        return state

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Yield the Dagster instance."""
        with dg.DagsterInstance.from_config(str(self.folder / "home")) as instance:
            yield instance
