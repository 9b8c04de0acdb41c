"""The warehouse resource: reading and writing tables, and errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from analytics_dagster.errors import WarehouseError
from analytics_dagster.project.profile import Target
from analytics_dagster.warehouse import (
    Table,
    Warehouse,
    build_warehouse,
)

pytestmark = pytest.mark.slow


HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a DuckDB file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def warehouse(path: Path, *, lock_timeout: float = 5.0) -> Warehouse:
    return Warehouse(adapter="duckdb", path=str(path), lock_timeout=lock_timeout)


def target(adapter: str = "duckdb", **credentials: object) -> Target:
    return Target("p", "one", adapter, Path("unused"), credentials)


def test_a_written_table_is_read_back_and_replaced_completely(tmp_path: Path) -> None:
    table = Table('odd "schema"', "select")
    ours = warehouse(tmp_path / "new" / "w.duckdb")
    assert ours.replace(table, pd.DataFrame({"n": [1, 2, 3], "text": ["a", None, "c"]})) == 3
    assert ours.replace(table, pd.DataFrame({"n": [4]})) == 1
    assert ours.read(f"from {table.sql}").to_dict("list") == {"n": [4]}
    assert ours.rows(f"from {table.sql}") == [(4,)]


def test_a_failed_write_keeps_the_old_table(tmp_path: Path) -> None:
    table = Table("main", "t")
    ours = warehouse(tmp_path / "w.duckdb")
    ours.replace(table, pd.DataFrame({"n": [1]}))
    ours.replace(Table("main", "other"), pd.DataFrame({"n": [1]}))
    with duckdb.connect(ours.path) as connection:
        connection.execute("create or replace view v as from t")
        connection.execute("drop table other")
        connection.execute("create view other as from t")
    with pytest.raises(duckdb.Error):
        ours.replace(Table("main", "other"), pd.DataFrame({"n": [2]}))
    assert ours.rows("from t") == [(1,)]


def test_no_connection_outlives_a_call(tmp_path: Path) -> None:
    ours = warehouse(tmp_path / "w.duckdb")
    ours.replace(Table("main", "t"), pd.DataFrame({"n": [1]}))
    ours.read("from t")
    with pytest.raises(duckdb.CatalogException):
        ours.rows("from absent")
    with held(tmp_path / "w.duckdb"):
        pass


def test_a_reader_can_not_write(tmp_path: Path) -> None:
    ours = warehouse(tmp_path / "w.duckdb")
    ours.replace(Table("main", "t"), pd.DataFrame({"n": [1]}))
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        ours.rows("delete from t")


def test_reading_before_the_first_build_is_an_error_and_creates_no_file(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with pytest.raises(WarehouseError, match="does not exist yet") as raised:
        warehouse(path).read("select 1")
    assert "Build it first" in raised.value.remedy
    assert not path.exists()


def test_a_file_that_is_not_duckdbs_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_text("no DuckDB file, but long enough to look like one" * 100)
    with pytest.raises(WarehouseError, match="can't be opened") as raised:
        warehouse(path).read("select 1")
    assert str(path) in raised.value.problem


def test_an_unsupported_kind_of_warehouse_is_an_error() -> None:
    other = Warehouse(adapter="snowflake", path="", lock_timeout=1.0)
    with pytest.raises(WarehouseError, match="'snowflake'"):
        other.read("select 1")


def test_building_the_resource_opens_nothing(tmp_path: Path) -> None:
    ours = build_warehouse(target(path="w.duckdb"), tmp_path, lock_timeout=7.0)
    assert (ours.adapter, ours.path, ours.lock_timeout) == ("duckdb", str(tmp_path / "w.duckdb"), 7.0)
    assert list(tmp_path.iterdir()) == []
