"""The executor within one run, and what of Dagster's own it replaces; runs side by side have tests of their own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from analytics_dagster.execution.executor import PoolContext, build_executor
from analytics_dagster.warehouse import POOL

pytestmark = pytest.mark.slow


def run_of(*assets: dg.AssetsDefinition, instance: dg.DagsterInstance, **config: Any) -> dg.DagsterRun:
    definitions = dg.Definitions(
        list(assets), jobs=[dg.define_asset_job("job", "*")], executor=build_executor({}, writers=1)
    )
    job = definitions.resolve_job_def("job")
    run = instance.create_run_for_job(job, run_config={"execution": {"config": config}} if config else {})
    return execute_run(InMemoryJob(job), run, instance).dagster_run


def test_the_steps_of_a_run_follow_one_another_a_failed_one_holds_nothing_and_a_retry_claims_anew(
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
        assert len(tries) == 1, "it has the stock executor's configuration"


def test_an_ephemeral_instance_has_no_slots_to_wait_for() -> None:
    @dg.asset(pool=POOL)
    def table() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        assert run_of(table, instance=instance).status is dg.DagsterRunStatus.SUCCESS


# --- what is overridden -------------------------------------------------------------------------------------


def test_the_members_of_dagsters_context_are_those_that_are_overridden() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: list(inspect.signature(method).parameters) for name, method in methods if not name.startswith("_")
        }

    overridden = {name: parameters for name, parameters in public(PoolContext).items() if name in vars(PoolContext)}
    assert overridden == {
        name: parameters for name, parameters in public(InstanceConcurrencyContext).items() if name != "get_pool_info"
    }
    # Nothing but the context itself asks for a pool's limit.
    assert "get_pool_info" not in inspect.getsource(ActiveExecution)
    assert "_instance_concurrency_context" in inspect.getsource(ActiveExecution)


def test_the_engine_takes_the_context_as_its_third_argument() -> None:
    assert list(inspect.signature(inner_plan_execution_iterator).parameters) == [
        "job_context",
        "execution_plan",
        "instance_concurrency_context",
    ]
