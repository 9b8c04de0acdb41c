"""The warehouse: one writer at a time, told who holds it, and never kept longer than a call."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from analytics_dagster.errors import WarehouseError
from analytics_dagster.profile import Target
from analytics_dagster.warehouse import Table, Warehouse, build_warehouse, duckdb_path, open_duckdb, wait_for_file

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


# --- a file that another process holds ----------------------------------------------------------------------


def test_a_held_file_is_waited_for_and_the_wait_announced_with_who_holds_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process:
        threading.Timer(1.0, process.kill).start()
        started = time.monotonic()
        open_duckdb(path, timeout=30.0, read_only=False).close()
        assert 0.5 < time.monotonic() - started < 20
    (said,) = [message for message in caplog.messages if "waiting for the warehouse" in message]
    assert f"waiting for the warehouse {path}, which process {process.pid} (" in said


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_stays_held_is_an_error_that_names_the_process(tmp_path: Path, *, read_only: bool) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process, pytest.raises(WarehouseError) as raised:
        open_duckdb(path, timeout=0.3, read_only=read_only)
    assert f"process {process.pid} (" in raised.value.problem
    assert "waited 0.3 s" in raised.value.problem
    assert "ANALYTICS_WAREHOUSE_LOCK_TIMEOUT" in raised.value.remedy


def test_dbt_waits_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process, pytest.raises(WarehouseError, match=f"process {process.pid}"):
        wait_for_file(path, timeout=0.3)
    wait_for_file(path, timeout=0.3)
    duckdb.connect(str(path)).close()


def test_waiting_for_a_file_that_is_not_there_makes_its_folder_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "w.duckdb"
    wait_for_file(path, timeout=0.3)
    assert path.parent.is_dir()
    assert not path.exists()


# --- reading and writing ------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_and_replaced_as_a_whole(tmp_path: Path) -> None:
    table = Table('odd "schema"', "select")
    ours = warehouse(tmp_path / "new" / "w.duckdb")
    assert ours.replace(table, pd.DataFrame({"n": [1, 2, 3], "text": ["a", None, "c"]})) == 3
    assert ours.replace(table, pd.DataFrame({"n": [4]})) == 1
    assert ours.read(f"from {table.sql}").to_dict("list") == {"n": [4]}
    assert ours.rows(f"from {table.sql}") == [(4,)]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
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


def test_reading_before_anything_was_built_says_to_build_and_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with pytest.raises(WarehouseError, match="does not exist yet") as raised:
        warehouse(path).read("select 1")
    assert "Build it first" in raised.value.remedy
    assert not path.exists()


def test_a_file_that_is_no_warehouse_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_text("no DuckDB file, but long enough to look like one" * 100)
    with pytest.raises(WarehouseError, match="can't be opened") as raised:
        warehouse(path).read("select 1")
    assert str(path) in raised.value.problem


def test_python_assets_say_that_they_can_not_read_another_kind_of_warehouse() -> None:
    other = Warehouse(adapter="postgres", path="", lock_timeout=1.0)
    with pytest.raises(WarehouseError, match="'postgres'"):
        other.read("select 1")


# --- where it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (target(path="w.duckdb"), "/project/w.duckdb"),
        (target(path="../data/w.duckdb"), "/data/w.duckdb"),
        (target(path="/elsewhere/w.duckdb"), "/elsewhere/w.duckdb"),
        (target(path=":memory:"), None),
        (target(path="md:shop"), None),
        (target(path="ducklake:postgres:host=db"), None),
        (target(path="s3://bucket/w.duckdb"), None),
        (target(), None),
        (target("postgres", path="w.duckdb"), None),
    ],
)
def test_the_file_is_where_dbt_finds_it_from_the_projects_folder(of: Target, expected: str | None) -> None:
    assert duckdb_path(of, Path("/project")) == (Path(expected) if expected else None)


def test_building_the_resource_opens_nothing(tmp_path: Path) -> None:
    ours = build_warehouse(target(path="w.duckdb"), tmp_path, lock_timeout=7.0)
    assert (ours.adapter, ours.path, ours.lock_timeout) == ("duckdb", str(tmp_path / "w.duckdb"), 7.0)
    assert list(tmp_path.iterdir()) == []
