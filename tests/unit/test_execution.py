"""Jobs from a terminal: what was asked for runs and no more, and what can't start says why.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

import inspect
import os
import signal
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan, execute_run

from analytics_dagster.executor import build_executor
from analytics_dagster.headless.execution import JobResult, Work, execute_jobs
from analytics_dagster.processes import PROCESS_TAG, Process


class Greeting(dg.Config):
    """What an asset of a test is configured with."""

    words: str = "none"


@dg.multi_asset(
    name="table",
    specs=[dg.AssetSpec("table", skippable=True)],
    check_specs=[dg.AssetCheckSpec(name, asset="table") for name in ("counted", "typed")],
    can_subset=True,
)
def table(
    context: dg.AssetExecutionContext, config: Greeting
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key, metadata={"words": config.words})
    for check in context.selected_asset_check_keys:
        yield dg.AssetCheckResult(passed=True, asset_key=check.asset_key, check_name=check.name)


@dg.asset_check(asset="table")
def alone() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def fails() -> None:
    raise dg.Failure("on purpose")


@dg.asset
def is_interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


DEFINITIONS = dg.Definitions(
    [table, fails, is_interrupted],
    asset_checks=[alone],
    jobs=[
        dg.define_asset_job("good", dg.AssetSelection.assets("table"), tags={"of": "good"}),
        dg.define_asset_job("both", dg.AssetSelection.assets("table", "fails")),
        dg.define_asset_job("bad", dg.AssetSelection.assets("fails")),
        dg.define_asset_job("interrupted", dg.AssetSelection.assets("is_interrupted")),
    ],
    executor=build_executor({}, writers=1),
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def executed(instance: dg.DagsterInstance, *works: Work) -> list[JobResult]:
    return execute_jobs(DEFINITIONS, works, instance=instance)


def run_of(instance: dg.DagsterInstance, result: JobResult) -> dg.DagsterRun:
    assert result.run_id is not None
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


def made_and_checked(instance: dg.DagsterInstance, result: JobResult) -> tuple[set[str], set[str]]:
    assert result.run_id is not None
    events = [entry.dagster_event for entry in instance.all_logs(result.run_id) if entry.dagster_event]
    made = {event.asset_key.to_user_string() for event in events if event.is_step_materialization and event.asset_key}
    checked = {
        event.asset_check_evaluation_data.check_name
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    return made, checked


# --- what runs ----------------------------------------------------------------------------------------------


def test_a_run_has_its_jobs_tags_and_names_its_process_from_the_start(instance: dg.DagsterInstance) -> None:
    [result] = executed(instance, Work("good"))
    assert result == JobResult("good", result.run_id, succeeded=True)
    run = run_of(instance, result)
    assert run.job_name == "good"
    assert run.tags["of"] == "good"
    assert run.tags[PROCESS_TAG] == f"{Process.current().to_text()} of run {run.run_id}"
    assert made_and_checked(instance, result) == ({"table"}, {"counted", "typed", "alone"})


def test_its_configuration_reaches_the_step(instance: dg.DagsterInstance) -> None:
    [result] = executed(instance, Work("good", configuration={"ops": {"table": {"config": {"words": "hello"}}}}))
    [record] = instance.fetch_materializations(dg.AssetKey("table"), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["words"].value == "hello"
    assert result.succeeded


@pytest.mark.parametrize(
    ("checks", "checked"),
    [
        (None, {"counted", "typed", "alone"}),
        (frozenset(), set()),
        (frozenset({dg.AssetCheckKey(dg.AssetKey("table"), "alone")}), {"alone"}),
    ],
)
def test_of_a_job_only_the_chosen_assets_and_checks_run_and_the_run_records_the_choice(
    instance: dg.DagsterInstance, checks: frozenset[dg.AssetCheckKey] | None, checked: set[str]
) -> None:
    assets = frozenset({dg.AssetKey("table")})
    [result] = executed(instance, Work("both", assets=assets, checks=checks))
    assert result.succeeded
    made, done = made_and_checked(instance, result)
    assert made == {"table"}
    assert done == checked
    run = run_of(instance, result)
    assert (run.asset_selection, run.asset_check_selection) == (assets, checks)


def test_checks_can_run_without_their_asset(instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("table"), "alone")
    [result] = executed(instance, Work("good", assets=frozenset(), checks=frozenset({key})))
    assert result.succeeded
    assert made_and_checked(instance, result) == (set(), {"alone"})


# --- what does not ------------------------------------------------------------------------------------------


def test_what_comes_after_a_failed_job_is_not_started_and_the_others_go_on(instance: dg.DagsterInstance) -> None:
    results = executed(
        instance,
        Work("bad"),
        Work("both", after=frozenset({"bad"})),
        Work("interrupted", after=frozenset({"both"})),
        Work("good", after=frozenset({"elsewhere"})),
    )
    assert [(result.job, result.succeeded, result.reason) for result in results] == [
        ("bad", False, ""),
        ("both", False, "not started: bad failed"),
        ("interrupted", False, "not started: both was not started"),
        ("good", True, ""),
    ]
    assert [result.run_id is None for result in results] == [False, True, True, False]


def test_an_interrupt_cancels_the_run_that_goes_on_and_starts_no_other(instance: dg.DagsterInstance) -> None:
    started = time.monotonic()
    results = executed(instance, Work("interrupted"), Work("good"))
    assert time.monotonic() - started < 30
    assert [(result.succeeded, result.reason) for result in results] == [
        (False, "canceled"),
        (False, "not started: interrupted"),
    ]
    assert run_of(instance, results[0]).status is dg.DagsterRunStatus.CANCELED
    assert len(instance.get_run_ids()) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- what is called of Dagster's own ------------------------------------------------------------------------


def test_dagsters_functions_are_called_as_they_are() -> None:
    assert list(inspect.signature(execute_run).parameters)[:3] == ["job", "dagster_run", "instance"]
    assert {"run_config", "instance_ref", "tags"} <= set(inspect.signature(create_execution_plan).parameters)
    assert {"asset_selection", "asset_check_selection", "asset_graph"} <= set(
        inspect.signature(dg.DagsterInstance.create_run).parameters
    )
