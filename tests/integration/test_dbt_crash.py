"""If the dbt process is killed or crashes, the run fails with a transient error; it neither succeeds nor hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import dagster as dg
import psutil
import pytest

from analytics_dagster.execution.failures.classification import classify
from tests.conftest import Library

pytestmark = [pytest.mark.integration, pytest.mark.thorough]

SLOW = (
    "select count(*) as n, (select count(*) from {{ ref('books') }}) as books "
    "from range(300000) a, range(3000000) b where a.range * b.range % 7 = 3"
)


def wait_for_slow_model(library: Library, build: subprocess.Popen[str]) -> psutil.Process:
    """Return the dbt process once it builds the slow model."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        logs = "".join(path.read_text() for path in library.artifacts.glob("runs/*/**/dbt.log"))
        if "START sql table model main.slow" in logs:
            return max(
                (
                    child
                    for child in psutil.Process(build.pid).children(recursive=True)
                    if any("dbt_worker" in word for word in child.cmdline())
                ),
                key=lambda child: child.cpu_times().user,
            )
        assert build.poll() is None, build.communicate()
        time.sleep(0.2)
    raise AssertionError("dbt did not start the slow model")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_dbt_process_ended_by_a_signal_is_a_transient_failure(prepared: Library, number: signal.Signals) -> None:
    folder = prepared.project / "transformations"
    (folder / "slow.sql").write_text(SLOW)
    (folder / "slow.yml").write_text("models: [{name: slow, config: {materialized: table}}]")
    with prepared.start("build", "--select", "+slow +shelf") as build:
        os.kill(wait_for_slow_model(prepared, build).pid, number)
        out, err = build.communicate(timeout=60)
    assert build.returncode == 1, out + err
    with dg.DagsterInstance.from_config(str(prepared.folder / "home")) as instance:
        [run] = instance.get_runs()
        [failure] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        built = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert run.status is dg.DagsterRunStatus.FAILURE
    data = failure.dagster_event.step_failure_data if failure.dagster_event else None
    assert data is not None
    description = data.user_failure_data.description if data.user_failure_data else str(data.error)
    assert f"exit code `-{number.value}`" in str(description)
    assert classify(str(description)).is_transient
    keys = [entry.dagster_event.asset_key for entry in built if entry.dagster_event]
    assert dg.AssetKey(["slow"]) not in keys
