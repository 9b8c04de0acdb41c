"""Jobs run in this process: only what is requested, with retries, and with the reason if one is not started.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import dagster as dg
import pytest

from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.retry_decision import DECISION, NUMBER, PARENT, ROOT, RetryPolicies, may_be_retried
from analytics_dagster.cli.runs.execution import JobRequest, JobResult, PolicyRetrier, execute_jobs
from analytics_dagster.cli.runs.summary import summarize
from analytics_dagster.execution.executor import build_executor
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.planning.groups import GROUP_TAG, IngestionRuns, ScheduleGroup
from analytics_dagster.process_identity import PROCESS_TAG, Process

pytestmark = pytest.mark.slow


class Greeting(dg.Config):
    """The configuration of an asset."""

    words: str = "none"


@dg.multi_asset(
    name="table",
    specs=[dg.AssetSpec("table", skippable=True)],
    check_specs=[dg.AssetCheckSpec(name, asset="table") for name in ("pluralize", "typed")],
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
    executor=build_executor(writers=1),
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def executed(instance: dg.DagsterInstance, *requests: JobRequest) -> list[JobResult]:
    return execute_jobs(DEFINITIONS, requests, instance=instance)


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


# --- selections ----------------------------------------------------------------------------------------------


def test_a_run_has_the_tags_of_its_job_and_process(instance: dg.DagsterInstance) -> None:
    [result] = executed(instance, JobRequest("good"))
    assert result == JobResult("good", result.run_id, succeeded=True)
    run = run_of(instance, result)
    assert run.job_name == "good"
    assert run.tags["of"] == "good"
    assert run.tags[PROCESS_TAG] == f"{Process.current().to_text()} of run {run.run_id}"
    assert made_and_checked(instance, result) == ({"table"}, {"pluralize", "typed", "alone"})


def test_the_configuration_reaches_the_step(instance: dg.DagsterInstance) -> None:
    [result] = executed(instance, JobRequest("good", configuration={"ops": {"table": {"config": {"words": "hello"}}}}))
    [record] = instance.fetch_materializations(dg.AssetKey("table"), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["words"].value == "hello"
    assert result.succeeded


@pytest.mark.parametrize(
    ("checks", "checked"),
    [
        (None, {"pluralize", "typed", "alone"}),
        (frozenset(), set()),
        (frozenset({dg.AssetCheckKey(dg.AssetKey("table"), "alone")}), {"alone"}),
    ],
)
def test_only_the_selected_assets_and_checks_run_and_are_recorded(
    instance: dg.DagsterInstance, checks: frozenset[dg.AssetCheckKey] | None, checked: set[str]
) -> None:
    assets = frozenset({dg.AssetKey("table")})
    [result] = executed(instance, JobRequest("both", assets=assets, checks=checks))
    assert result.succeeded
    made, done = made_and_checked(instance, result)
    assert made == {"table"}
    assert done == checked
    run = run_of(instance, result)
    assert (run.asset_selection, run.asset_check_selection) == (assets, checks)


def test_checks_can_run_without_their_asset(instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("table"), "alone")
    [result] = executed(instance, JobRequest("good", assets=frozenset(), checks=frozenset({key})))
    assert result.succeeded
    assert made_and_checked(instance, result) == (set(), {"alone"})


# --- blocked jobs ------------------------------------------------------------------------------------------


def test_a_failed_job_blocks_only_the_jobs_after_it(instance: dg.DagsterInstance) -> None:
    results = executed(
        instance,
        JobRequest("bad"),
        JobRequest("both", after=frozenset({"bad"})),
        JobRequest("interrupted", after=frozenset({"both"})),
        JobRequest("good", after=frozenset({"elsewhere"})),
    )
    assert [(result.job, result.succeeded, result.reason) for result in results] == [
        ("bad", False, ""),
        ("both", False, "not started: bad failed"),
        ("interrupted", False, "not started: both was not started"),
        ("good", True, ""),
    ]
    assert [result.run_id is None for result in results] == [False, True, True, False]


def test_an_interrupt_cancels_the_run_and_starts_no_other(instance: dg.DagsterInstance) -> None:
    started = time.monotonic()
    results = executed(instance, JobRequest("interrupted"), JobRequest("good"))
    assert time.monotonic() - started < 30
    assert [(result.succeeded, result.reason) for result in results] == [
        (False, "canceled"),
        (False, "not started: interrupted"),
    ]
    assert run_of(instance, results[0]).status is dg.DagsterRunStatus.CANCELED
    assert len(instance.get_run_ids()) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- retries --------------------------------------------------------------------------------------


@dataclass
class FlakyState:
    """How often the flaky step still fails, and its message."""

    failing: int = 0
    message: str = "server closed the connection unexpectedly"


STATE = FlakyState()


@dg.asset(tags={"of": "group"})
def steady(config: Greeting) -> None: ...


@dg.asset(deps=[steady])
def flaky(config: Greeting) -> None:
    if STATE.failing and config.words == "hello":
        STATE.failing -= 1
        raise dg.Failure(STATE.message)


FLAKY = dg.Definitions(
    [steady, flaky],
    jobs=[dg.define_asset_job("flaky_job", tags={GROUP_TAG: "g"})],
    executor=build_executor(writers=1),
)


def retried(
    instance: dg.DagsterInstance, *, interrupted: bool = False, job: str = "flaky_job"
) -> tuple[list[JobResult], list[str], list[float]]:
    lines, pauses = list[str](), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if interrupted:
            raise KeyboardInterrupt

    group = ScheduleGroup(name="g", select="*", retries=2, retry_delay=30)
    report = partial(ReportReader(dict, DeploymentInfo).read, instance, repository=None)
    retrier = PolicyRetrier(
        instance,
        RetryPolicies({"g": group}, IngestionRuns(), {steady.key: "g", flaky.key: "g"}),
        report,
        lines.append,
        sleep,
    )
    asked = {"ops": {name: {"config": {"words": "hello"}} for name in ("steady", "flaky")}}
    both = frozenset({steady.key, flaky.key})
    requests = [
        JobRequest(job, both, frozenset(), configuration=asked),
        JobRequest(job, both, configuration=asked, after=frozenset({job})),
    ]
    results = execute_jobs(FLAKY, requests, instance=instance, retrier=retrier)
    return results, lines, pauses


@pytest.mark.parametrize("job", ["flaky_job", AD_HOC])
def test_a_transient_failure_is_retried_after_a_pause(instance: dg.DagsterInstance, job: str) -> None:
    STATE.failing = 2
    [result, after], lines, pauses = retried(instance, job=job)
    assert (result.succeeded, after.succeeded) == (True, True)
    assert len(result.earlier) == 2
    assert [round(pause / 10) for pause in pauses] == [3, 6]
    assert "retry 1 of 2" in lines[0]
    assert made_and_checked(instance, result) == ({"flaky"}, set())
    run = run_of(instance, result)
    assert (run.tags[PARENT], run.tags[ROOT], run.tags[NUMBER]) == (result.earlier[1], result.earlier[0], "2")
    assert run.run_config["ops"] == {"flaky": {"config": {"words": "hello"}}}
    [line] = [line for line in summarize(instance, [result], {}) if line.key == steady.key]
    assert line.is_built


def test_a_run_is_not_retried_after_its_last_retry(instance: dg.DagsterInstance) -> None:
    STATE.failing = 9
    [result, after], _, pauses = retried(instance)
    STATE.failing = 0
    assert not result.succeeded
    assert (len(result.earlier), len(pauses)) == (2, 2)
    assert after.run_id is None
    assert run_of(instance, result).tags[DECISION].startswith("not retried: all 2 retries are used")


def test_a_permanent_failure_is_not_retried(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STATE, "message", "Binder Error: no such column")
    STATE.failing = 1
    [result, _], lines, pauses = retried(instance)
    assert (result.succeeded, result.earlier, lines, pauses) == (False, (), [], [])
    assert run_of(instance, result).tags[DECISION] == "not retried: it would fail again (SQL error)"


def test_an_interrupted_wait_leaves_the_run_failed_for_good(instance: dg.DagsterInstance) -> None:
    STATE.failing = 1
    [result, after], _, _ = retried(instance, interrupted=True)
    assert (result.reason, after.reason) == ("canceled", "not started: interrupted")
    run = run_of(instance, result)
    assert run.tags[DECISION] == "not retried: interrupted"
    assert not may_be_retried(run, sensor_is_on=True)
