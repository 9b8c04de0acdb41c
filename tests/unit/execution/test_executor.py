"""The executor within one run. `tests/integration/test_executor.py` tests simultaneous runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from analytics_dagster.dagster_internals import guard
from analytics_dagster.execution.executor import build_executor
from analytics_dagster.warehouse import POOL

pytestmark = pytest.mark.slow


def run_of(*assets: dg.AssetsDefinition, instance: dg.DagsterInstance, **config: Any) -> dg.DagsterRun:
    definitions = dg.Definitions(
        list(assets), jobs=[dg.define_asset_job("job", "*")], executor=build_executor(writers=1)
    )
    job = definitions.resolve_job_def("job")
    run = instance.create_run_for_job(job, run_config={"execution": {"config": config}} if config else {})
    return execute_run(InMemoryJob(job), run, instance).dagster_run


def test_a_failed_step_frees_its_slot_and_a_retried_step_claims_it_again(
    tmp_path: Path,
) -> None:
    tries = []

    @dg.asset(pool=POOL)
    def fails() -> None:
        raise dg.Failure("on purpose")

    @dg.asset(pool=POOL, retry_policy=dg.RetryPolicy(max_retries=1))
    def succeeds_later() -> None:
        tries.append(dict.fromkeys(("once",)))
        if len(tries) == 1:
            raise ValueError("not yet")

    @dg.asset(deps=[fails], pool=POOL)
    def after_failed() -> None: ...

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = run_of(fails, succeeds_later, after_failed, instance=instance)
        assert run.status is dg.DagsterRunStatus.FAILURE
        steps = {stats.step_key: stats.status for stats in instance.get_run_step_stats(run.run_id)}
        assert {key: status.value for key, status in steps.items() if status} == {
            "fails": "FAILURE",
            "succeeds_later": "SUCCESS",
        }
        assert len(tries) == 2
        info = instance.event_log_storage.get_concurrency_info(POOL)
        assert (info.claimed_slots, info.pending_steps) == ([], [])
        tries.clear()
        run_of(succeeds_later, instance=instance, retries={"disabled": {}})
        assert len(tries) == 1, "the executor has the configuration of the stock executor"


def test_a_run_in_an_ephemeral_instance_claims_no_slots() -> None:
    @dg.asset(pool=POOL)
    def table() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        assert run_of(table, instance=instance).status is dg.DagsterRunStatus.SUCCESS


def test_without_private_names_the_executor_is_dagsters(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "_logged", set())
    monkeypatch.setenv(guard.NO_INTERNALS, "1")
    assert build_executor(writers=1) is dg.in_process_executor
    [record] = caplog.records
    assert record.getMessage().endswith(
        "jobs use Dagster's in_process_executor, which uses a CPU while it waits for a pool"
    )
