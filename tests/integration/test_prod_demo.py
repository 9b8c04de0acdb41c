"""The main job on PostgreSQL and on DuckLake builds the same tables as in a DuckDB file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.project.files import find_project
from analytics_dagster.project.profile import load_target
from analytics_dagster.settings import CHECKOUT, Settings
from analytics_dagster.warehouse import Warehouse, build_warehouse
from scripts.prod_demo import TARGETS, Production
from scripts.servers import run_both
from tests.integration.shop import Shop

pytestmark = [pytest.mark.integration, pytest.mark.thorough, pytest.mark.timeout(1800)]

SAMPLE = ("--now", "2026-11-02T12:00:00+00:00", "--days-ahead", "330")
TABLES = (
    "select table_schema, table_name from information_schema.tables "
    # The catalog of a DuckLake is attached, too.
    "where table_catalog = current_database() and left(table_name, 1) <> '_' "
    "and table_schema in ('raw', 'seeds', 'snapshots', 'marts', 'consumers')"
)


@pytest.fixture(scope="module")
def in_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, int]:
    """Return the number of rows of every table of the same shop in a DuckDB file."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.run(sys.executable, "scripts/sample_data.py", "--landing", str(shop.landing), *SAMPLE)
    done = shop.build()
    assert done.returncode == 0, done.stdout + done.stderr
    tables = [f"{schema}.{name}" for schema, name in shop.query(TABLES)]
    return {table: shop.query(f"select count(*) from {table}")[0][0] for table in tables}  # noqa: S608


@pytest.fixture(scope="module")
def production() -> Iterator[Production]:
    """Start the servers, and write the sample data to the bucket."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL does not run as root
        with run_both(folder) as (postgres, s3):
            made = Production(folder, postgres, s3)
            made.deliver(*SAMPLE)
            yield made


@pytest.fixture(scope="module")
def on_postgres(production: Production) -> None:
    """Build the shop in PostgreSQL."""
    production.build("postgres")


@pytest.fixture(scope="module")
def on_ducklake(production: Production) -> None:
    """Build the shop in a DuckLake."""
    production.build("ducklake")


def warehouse_of(production: Production, name: str, patch: pytest.MonkeyPatch) -> Warehouse:
    for variable, value in production.environment(name).items():
        patch.setenv(variable, value)
    project = CHECKOUT / "dbt_project"
    target = load_target(find_project(Settings(dbt_project_dir=project, dbt_target=TARGETS[name])))
    return build_warehouse(target, project, lock_timeout=1)


@pytest.mark.usefixtures("on_postgres", "on_ducklake")
@pytest.mark.parametrize("name", list(TARGETS))
def test_every_table_has_the_same_rows_as_in_duckdb(
    production: Production, in_duckdb: Mapping[str, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = warehouse_of(production, name, monkeypatch)
    found = {f"{schema}.{table}" for schema, table in warehouse.rows(TABLES)}
    counts = " union all ".join(f"select '{table}', count(*) from {table}" for table in sorted(found))  # noqa: S608
    assert dict(warehouse.rows(counts)) == in_duckdb


@pytest.mark.usefixtures("on_postgres")
def test_hourly_and_nightly_runs_write_to_postgresql_concurrently(production: Production) -> None:
    # Start the longer run first.
    with (
        production.start("postgres", "--group", "nightly") as nightly,
        production.start("postgres", "--group", "hourly") as hourly,
    ):
        outs = [process.communicate(timeout=500)[0] for process in (hourly, nightly)]
    assert [hourly.returncode, nightly.returncode] == [0, 0], outs
    with dg.DagsterInstance.from_config(str(production.runs("postgres") / "home")) as instance:
        runs = instance.get_run_records(limit=2)
    assert max(run.start_time or 0 for run in runs) < min(run.end_time or 0 for run in runs), outs


@pytest.mark.usefixtures("on_postgres", "on_ducklake")
def test_no_file_of_a_build_contains_a_secret(production: Production) -> None:
    secrets = [production.postgres.password, production.s3.secret]
    for name in TARGETS:
        files = [path for path in production.runs(name).rglob("*") if path.is_file()]
        assert "manifest.json" in {path.name for path in files}
        for path in files:
            content = path.read_bytes()
            assert [secret for secret in secrets if secret.encode() in content] == [], path


def test_a_failed_build_is_an_error(production: Production) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        production.build("postgres", "--group", "no_such_group")
