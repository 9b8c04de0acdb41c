"""A small dbt project with the names of the bundled shop, in which tests execute the commands of the documents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from analytics_dagster.cli import app
from tests.conftest import PROJECTS
from tests.documents.pages import BLOCKS

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class SmallShop:
    """A folder that has the dbt project, the data and the Dagster home where a checkout has them."""

    folder: Path

    @property
    def project(self) -> Path:
        """The dbt project."""
        return self.folder / "dbt_project"

    @property
    def orders(self) -> Path:
        """The file of the model that the runbooks break."""
        return self.project / "models" / "marts" / "orders.sql"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.folder / "data" / "warehouse.duckdb"

    @property
    def home(self) -> Path:
        """The Dagster home."""
        return self.folder / ".dagster_home"

    def deliver(self, name: str, *orders: tuple[int, int], days: int = 3) -> None:
        """Write a file of orders (number, total), last changed ``days`` ago, into the landing zone."""
        at = datetime.now(tz=timezone.utc) - timedelta(days=days)
        path = self.folder / "data" / "landing" / "orders" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = ", ".join(
            f"({number}, 'ann', timestamptz '{at}', {total}, timestamptz '{at}')" for number, total in orders
        )
        names = ("id", "customer", "ordered_at", "order_total", "updated_at")
        duckdb.sql(f"from (values {rows})").project(
            ", ".join(f"col{i} as {name}" for i, name in enumerate(names))
        ).write_parquet(str(path))

    def totals(self) -> dict[int, int]:
        """Return the total of each order in the mart."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return dict(connection.execute("select order_id, order_total from main_marts.orders").fetchall())

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who has activated the virtual environment and set no variable."""
        ours = ("ANALYTICS_", "DAGSTER_", "DBT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "200"}

    def start(self, command: str, **variables: str) -> subprocess.Popen[str]:
        """Start a shell command in the folder."""
        return subprocess.Popen(
            ["/bin/bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, code: int = 0, **variables: str) -> str:
        """Run a shell command that must exit with ``code``; return its output."""
        with self.start(command, **variables) as process:
            printed, _ = process.communicate(timeout=300)
        assert process.returncode == code, f"{command}\n{printed}"
        return printed

    def run_here(self, *arguments: str, code: int = 0) -> str:
        """Run `analytics-dagster` in this process, which has imported Dagster already; return its output."""
        with pytest.MonkeyPatch.context() as patch:
            # Restores the variables that a command changes.
            patch.setenv("DAGSTER_HOME", str(self.home))
            patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
            patch.chdir(self.folder)
            done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, f"{arguments}\n{done.output}\n{done.exception}"
        return done.output


def create_small_shop(folder: Path) -> SmallShop:
    """Return a shop that was never built; its sources and tests are the examples of the documents."""
    shop = SmallShop(folder)
    shutil.copytree(PROJECTS / "small_shop", shop.project)
    models = shop.project / "models"
    (models / "staging" / "sources.yml").write_text(_example("docs/ingestion.md", "sources:"), encoding="utf-8")
    (models / "marts" / "marts.yml").write_text(_example("docs/quality.md", "models:"), encoding="utf-8")
    shop.deliver("first.parquet", (1, 7), (2, 9))
    return shop


def _example(page: str, beginning: str) -> str:
    [block] = [one for one in BLOCKS if one.page == page and one.text.startswith(beginning)]
    return block.text
