"""Locks of a DuckDB file: waiting for other processes and steps, and the log lines about it."""

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

from analytics_dagster.errors import WarehouseError
from analytics_dagster.process_identity import CHILD_TAG, Process
from analytics_dagster.warehouse import Table, Warehouse, open_duckdb
from analytics_dagster.warehouse.duckdb_file import WarehouseLock
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
    """Let another process open a DuckDB file."""
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


# --- a file that another process holds ----------------------------------------------------------------------


def test_waiting_for_a_locked_file_is_logged_with_its_holder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process:
        threading.Timer(1.0, process.kill).start()
        started = time.monotonic()
        open_duckdb(path, timeout=30.0, read_only=False).close()
        assert 0.5 < time.monotonic() - started < 20
    (line,) = [message for message in caplog.messages if "waiting for the warehouse" in message]
    assert f"waiting for the warehouse {path}, which process {process.pid} (" in line


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_stays_locked_is_an_error_that_names_the_process(tmp_path: Path, *, read_only: bool) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process, pytest.raises(WarehouseError) as raised:
        open_duckdb(path, timeout=0.3, read_only=read_only)
    assert f"process {process.pid} (" in raised.value.problem
    assert "waited 0.3 s" in raised.value.problem
    assert "ANALYTICS_WAREHOUSE_LOCK_TIMEOUT" in raised.value.remedy


def test_another_program_can_open_a_file_that_is_locked_for_it(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as process, pytest.raises(WarehouseError, match=f"process {process.pid}"), locked(path):
        pass
    with locked(path):
        duckdb.connect(str(path)).close()


def test_locking_a_missing_file_creates_only_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "w.duckdb"
    with locked(path):
        assert path.parent.is_dir()
        assert not path.exists()


def locked(path: Path) -> AbstractContextManager[WarehouseLock]:
    return warehouse(path, lock_timeout=0.3).exclusively()


def announced(caplog: pytest.LogCaptureFixture) -> str:
    [line] = [message for message in caplog.messages if "waiting for the warehouse" in message]
    return line


# --- a file that another step holds -------------------------------------------------------------------------


def test_waiting_for_a_step_has_no_time_limit_and_logs_its_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path) as holder:
        assert holder.receive() == "in"
        where = Process.of(holder.pid)
        threading.Timer(2.0, holder.release).start()
        started = time.monotonic()
        with locked(path):  # the time limit for other programs is much shorter
            assert time.monotonic() - started > 1.5
        assert announced(caplog) == f"waiting for the warehouse {path}, which {where} holds"


def test_waiting_for_a_step_is_idle_and_can_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with locked(path), start_holder(path) as waiting:
        before = psutil.Process(waiting.pid).cpu_times().user
        time.sleep(4)
        assert psutil.Process(waiting.pid).cpu_times().user - before < 0.5
        os.kill(waiting.pid, signal.SIGINT)
        waiting.process.join(10)
        assert waiting.process.exitcode == 1
    with start_holder(path) as other:
        assert other.receive() == "in"


def test_reading_and_writing_tables_waits_for_a_step(tmp_path: Path) -> None:
    ours = warehouse(tmp_path / "w.duckdb")
    ours.replace(Table("main", "t"), pd.DataFrame({"n": [1]}))
    with start_holder(Path(ours.path)) as holder:
        assert holder.receive() == "in"
        threading.Timer(1.0, holder.release).start()
        started = time.monotonic()
        assert ours.rows("from t") == [(1,)]
        assert time.monotonic() - started > 0.5


def test_a_thread_may_lock_a_file_twice_and_another_thread_waits(tmp_path: Path) -> None:
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


def test_a_killed_step_releases_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path) as holder:
        assert holder.receive() == "in"
        holder.kill()
        with locked(path):
            pass


def test_the_dbt_process_of_a_killed_step_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "w.duckdb"
    with start_holder(path, with_child=True) as holder:
        child, where = holder.receive(), Process.of(holder.pid)
        assert holder.receive() == "in"
        holder.kill()
        dbt = Process.of(child)
        threading.Timer(2.0, os.kill, [child, signal.SIGKILL]).start()
        started = time.monotonic()
        with locked(path):
            assert time.monotonic() - started > 1.5
        assert announced(caplog) == f"waiting for the warehouse {path}, which dbt, {dbt}, started by {where}, holds"


def test_a_dbt_process_that_outlives_its_step_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with subprocess.Popen(SLEEP) as dbt:
        with locked(path) as hold:
            hold.record_child(dbt.pid)
        threading.Timer(1.0, dbt.kill).start()
        started = time.monotonic()
        with locked(path) as hold:
            assert time.monotonic() - started > 0.5
            hold.record_child(dbt.pid)  # it has ended, so nothing is recorded
    assert not (tmp_path / "w.duckdb.holder").exists()


def test_the_process_that_a_step_starts_is_recorded_in_its_run(tmp_path: Path) -> None:
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


def test_a_lock_file_that_can_not_be_created_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb.lock").mkdir()
    ours = warehouse(tmp_path / "w.duckdb")
    with pytest.raises(WarehouseError, match=f"The warehouse {ours.path} can't be locked") as raised:
        ours.rows("select 1")
    assert str(tmp_path) in raised.value.remedy
