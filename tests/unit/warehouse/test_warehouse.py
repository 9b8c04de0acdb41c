"""The warehouse: one writer at a time, told who holds it, and never kept longer than a call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import psutil
import pytest

from analytics_dagster.errors import SettingsError, WarehouseError
from analytics_dagster.process_identity import CHILD_TAG, Process
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import (
    Kind,
    Table,
    Warehouse,
    WarehouseLock,
    build_warehouse,
    count_writers,
    duckdb_path,
    kind_of,
    open_duckdb,
)
from tests.processes import SLEEP, start_holder

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


def test_a_program_that_writes_by_itself_finds_the_file_free(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process, pytest.raises(WarehouseError, match=f"process {process.pid}"), in_hand(path):
        pass
    with in_hand(path):
        duckdb.connect(str(path)).close()


def test_a_file_that_is_not_there_is_not_made_by_holding_it_but_its_folder_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "w.duckdb"
    with in_hand(path):
        assert path.parent.is_dir()
        assert not path.exists()


# --- a file that another step holds -------------------------------------------------------------------------


def in_hand(path: Path) -> AbstractContextManager[WarehouseLock]:
    return warehouse(path, lock_timeout=0.3).exclusively()


def announced(caplog: pytest.LogCaptureFixture) -> str:
    [said] = [message for message in caplog.messages if "waiting for the warehouse" in message]
    return said


def test_a_step_is_waited_for_without_a_time_limit_and_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path) as holder:
        assert holder.receive() == "in"
        where = Process.of(holder.pid)
        threading.Timer(2.0, holder.release).start()
        started = time.monotonic()
        with in_hand(path):  # its time limit, for other programs, is much shorter
            assert time.monotonic() - started > 1.5
        assert announced(caplog) == f"waiting for the warehouse {path}, which {where} holds"


def test_a_wait_for_a_step_is_idle_and_ends_with_an_interrupt(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with in_hand(path), start_holder(path) as waiting:
        before = psutil.Process(waiting.pid).cpu_times().user
        time.sleep(4)
        assert psutil.Process(waiting.pid).cpu_times().user - before < 0.5
        os.kill(waiting.pid, signal.SIGINT)
        waiting.process.join(10)
        assert waiting.process.exitcode == 1
    with start_holder(path) as other:
        assert other.receive() == "in"


def test_readers_and_writers_of_tables_keep_out_of_a_step(tmp_path: Path) -> None:
    ours = warehouse(tmp_path / "w.duckdb")
    ours.replace(Table("main", "t"), pd.DataFrame({"n": [1]}))
    with start_holder(Path(ours.path)) as holder:
        assert holder.receive() == "in"
        threading.Timer(1.0, holder.release).start()
        started = time.monotonic()
        assert ours.rows("from t") == [(1,)]
        assert time.monotonic() - started > 0.5


def test_a_step_may_ask_for_what_it_holds_and_another_thread_waits_for_it(tmp_path: Path) -> None:
    ours = warehouse(tmp_path / "w.duckdb")
    came_in = threading.Event()

    def other() -> None:
        with ours.locked():
            came_in.set()

    with ours.exclusively() as hold:
        ours.replace(Table("main", "t"), pd.DataFrame({"n": [1]}))
        with ours.locked() as again:
            assert again is hold
        thread = threading.Thread(target=other)
        thread.start()
        assert not came_in.wait(1.0)
    assert came_in.wait(10.0)
    thread.join()
    assert {file.name for file in tmp_path.iterdir()} == {"w.duckdb", "w.duckdb.lock"}


def test_a_killed_step_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path) as holder:
        assert holder.receive() == "in"
        holder.kill()
        with in_hand(path):
            pass


def test_the_dbt_that_a_killed_step_left_behind_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path, with_child=True) as holder:
        child, where = holder.receive(), Process.of(holder.pid)
        assert holder.receive() == "in"
        holder.kill()
        dbt = Process.of(child)
        threading.Timer(2.0, os.kill, [child, signal.SIGKILL]).start()
        started = time.monotonic()
        with in_hand(path):
            assert time.monotonic() - started > 1.5
        assert announced(caplog) == f"waiting for the warehouse {path}, which dbt, {dbt}, started by {where}, holds"


def test_dbt_that_goes_on_after_its_step_has_ended_is_waited_for_too(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with subprocess.Popen(SLEEP) as dbt:
        with in_hand(path) as hold:
            hold.record_child(dbt.pid)
        threading.Timer(1.0, dbt.kill).start()
        started = time.monotonic()
        with in_hand(path) as hold:
            assert time.monotonic() - started > 0.5
            hold.record_child(dbt.pid)  # it has gone, and there is nothing to note
    assert not (tmp_path / "w.duckdb.holder").exists()


def test_what_a_step_starts_is_on_record_in_its_run(tmp_path: Path) -> None:
    started: list[Process | None] = []

    @dg.asset
    def table(warehouse: dg.ResourceParam[Warehouse]) -> None:
        with (
            warehouse.exclusively() as hold,
            subprocess.Popen(SLEEP) as dbt,
        ):
            started.append(Process.of(dbt.pid))
            hold.record_child(dbt.pid)
            if warehouse.path:
                note = json.loads((tmp_path / "w.duckdb.holder").read_text())
                assert " of __ephemeral_asset_job__)" in note["holder"]
            dbt.kill()

    for path in (str(tmp_path / "w.duckdb"), ""):
        resource = Warehouse(adapter="duckdb" if path else "postgres", path=path, lock_timeout=1.0)
        with dg.DagsterInstance.ephemeral() as instance:
            run = dg.materialize([table], resources={"warehouse": resource}, instance=instance)
            tags = instance.get_run_by_id(run.run_id)
            assert tags is not None
            child = started.pop()
            assert child is not None
            assert tags.tags[CHILD_TAG] == f"{child.to_text()} of run {run.run_id}"


def test_a_lock_that_can_not_be_made_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb.lock").mkdir()
    ours = warehouse(tmp_path / "w.duckdb")
    with pytest.raises(WarehouseError, match=f"The warehouse {ours.path} can't be locked") as raised:
        ours.rows("select 1")
    assert str(tmp_path) in raised.value.remedy


# --- how many may write -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "asked", "expected"),
    [
        (target(path="w.duckdb"), None, 1),
        (target(path="w.duckdb"), 1, 1),
        (target(path="ducklake:postgres:host=db"), None, 1),
        (target(path=":memory:", database="lake", attach=[{"path": "ducklake:postgres:", "alias": "lake"}]), None, 1),
        (target(path="md:shop"), 3, 3),
        (target("postgres"), None, 4),
        (target("postgres"), 2, 2),
    ],
)
def test_a_duckdb_file_has_one_writer_and_others_as_many_as_the_setting_says(
    of: Target, asked: int | None, expected: int
) -> None:
    assert count_writers(Settings(warehouse_writers=asked), of) == expected


def test_more_writers_than_a_duckdb_file_takes_are_an_error_that_says_why() -> None:
    with pytest.raises(SettingsError) as raised:
        count_writers(Settings(warehouse_writers=2, dbt_project_dir=Path("/project")), target(path="w.duckdb"))
    assert "ANALYTICS_WAREHOUSE_WRITERS is 2" in raised.value.problem
    assert "DuckDB file /project/w.duckdb, which one process can write to at a time" in raised.value.problem


def test_more_writers_than_a_ducklake_takes_are_an_error_that_says_why() -> None:
    lake = target(path=":memory:", database="lake", attach=[{"path": "ducklake:postgres:", "alias": "lake"}])
    with pytest.raises(SettingsError, match="a DuckLake, which one dbt run can write to at a time"):
        count_writers(Settings(warehouse_writers=2), lake)
    # One that is attached beside the database of the target is read at most.
    beside = target(path="w.duckdb", attach=[{"path": "ducklake:postgres:", "alias": "lake"}])
    assert kind_of(beside) is Kind.FILE


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
    other = Warehouse(adapter="snowflake", path="", lock_timeout=1.0)
    with pytest.raises(WarehouseError, match="'snowflake'"):
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
