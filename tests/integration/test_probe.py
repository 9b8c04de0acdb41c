"""The probe tests a warehouse through dbt's adapter and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from analytics_dagster.cli.doctor.result import CheckStatus, Clocks
from analytics_dagster.cli.doctor.warehouse import check_with_dbt
from analytics_dagster.project.profile import Target

pytestmark = pytest.mark.integration


def _target(folder: Path, **credentials: str) -> Target:
    output = {"type": "duckdb", "path": str(folder / "warehouse.duckdb"), **credentials}
    lines = "".join(f"      {name}: '{value}'\n" for name, value in output.items())
    (folder / "profiles.yml").write_text(f"shop:\n  target: dev\n  outputs:\n    dev:\n{lines}")
    return Target(profile="shop", name="dev", adapter="duckdb", profiles_dir=folder, credentials=output)


def _contents(folder: Path) -> list[tuple[str, str]]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        schemas = "select 'schema', schema_name from information_schema.schemata where catalog_name = 'warehouse'"
        tables = "select 'table', table_name from information_schema.tables"
        return sorted(connection.execute(f"{schemas} union all {tables}").fetchall())


@pytest.mark.parametrize("schema", [pytest.param("main", marks=pytest.mark.thorough), "not_there_yet"])
def test_the_probe_creates_a_table_and_leaves_nothing_behind(schema: str, tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    before = _contents(tmp_path)
    clocks: Clocks = {}
    result = check_with_dbt(_target(tmp_path, schema=schema), tmp_path, clocks)
    assert result.status is CheckStatus.OK, result
    assert _contents(tmp_path) == before
    assert clocks.keys() == {"the warehouse"}


@pytest.mark.thorough
def test_a_connection_error_is_reported_without_secrets(tmp_path: Path) -> None:
    target = _target(tmp_path, path=str(tmp_path / "nowhere" / "warehouse.duckdb"), password="hunter22")  # noqa: S106
    result = check_with_dbt(target, tmp_path, {})
    assert result.status is CheckStatus.ERROR
    assert "hunter22" not in result.message
    assert "nowhere" in result.message
