"""Retries: only after transient failures, with a delay, as often as the group allows, and only of what failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, DagsterEvent  # as a run worker reports them
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage import tags as dagster_tags  # the names of Dagster's own tags

from analytics_dagster.automation import retry_sensors
from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.jobs import AD_HOC, INGESTION, RETRIES_TAG, STARTED_BY
from analytics_dagster.automation.retry_decision import (
    AD_HOC_SENSOR,
    DECISION,
    DUE,
    NUMBER,
    PARENT,
    RETRIED_BY,
    RETRIES_SENSOR,
    ROOT,
    RetryPolicies,
    decide_retry,
    may_be_retried,
    retry_delay,
)
from analytics_dagster.automation.retry_sensors import RetryEvaluation, build_retry_sensors, find_failed_runs
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import REPORT, ReportReader
from analytics_dagster.execution.failures.observation import NodeFailure, to_observation
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailedStep, FailureReport
from analytics_dagster.planning.groups import PROJECT_TAG, Backoff, IngestionRuns, ScheduleGroup
from analytics_dagster.process_identity import process_tags
from tests.unit.automation.three_groups import ThreeGroups, hourly_part, hourly_table, three_groups

pytestmark = pytest.mark.slow

NOON = 1_780_315_200.0
REPORT_READER = ReportReader(dict, lambda: DeploymentInfo(secrets=frozenset({"hunter2"})))
LOST = FailedNode("a", FailureKind.CONNECTION, "connection lost")
BAD = FailedNode("b", FailureKind.SQL, "no such column")


def group(**others: Any) -> ScheduleGroup:
    return ScheduleGroup(name="nightly", select="*", **{"retries": 2, **others})


def report(*nodes: FailedNode, checks: tuple[FailedCheck, ...] = ()) -> FailureReport:
    return FailureReport("r", "nightly", ended=NOON, nodes=nodes, checks=checks)


# --- the decision -----------------------------------------------------------------------------------------------


def test_a_run_with_transient_failures_only_is_retried_after_a_delay() -> None:
    retry = decide_retry(report(LOST), group(), 0)
    assert retry.due == NOON + 60
    assert retry.reason == "retry 1 of 2 at 12:01:00 UTC (connection)"


@pytest.mark.parametrize(
    ("failed", "asked", "done", "reason"),
    [
        (report(LOST, BAD), group(), 0, "not retried: it would fail again (SQL error)"),
        (
            report(LOST, checks=(FailedCheck("a", "t", warns=False, rows=1, kind=FailureKind.DATA_TEST),)),
            group(),
            0,
            "not retried: it would fail again (data test)",
        ),
        (report(LOST), group(), 2, "not retried: all 2 retries are used (connection)"),
        (report(LOST), group(retries=0), 0, "not retried: the schedule groups file sets no retries for it"),
        (report(LOST), None, 0, "not retried: the schedule groups file sets no retries for it"),
        (report(), group(), 0, "not retried: it would fail again (unknown failure)"),
    ],
)
def test_any_other_run_is_not_retried_with_a_reason(
    failed: FailureReport, asked: ScheduleGroup | None, done: int, reason: str
) -> None:
    retry = decide_retry(failed, asked, done)
    assert retry.due is None
    assert retry.reason == reason


@pytest.mark.parametrize(
    ("kind", "retries", "done", "reason"),
    [
        (FailureKind.CONNECTION, 0, 0, "retry 1 of 3 at 12:01:00 UTC (connection; it never started)"),
        (FailureKind.KILLED, 0, 2, "retry 3 of 3 at 12:04:00 UTC (killed; it never started)"),
        (FailureKind.KILLED, 5, 4, "retry 5 of 5 at 12:16:00 UTC (killed; it never started)"),
        (FailureKind.CONNECTION, 0, 3, "not retried: all 3 retries are used (connection; it never started)"),
        (FailureKind.CODE, 2, 0, "not retried: it would fail again (error; it never started)"),
    ],
)
def test_a_run_that_never_started_is_requested_again_whatever_its_retries(
    kind: FailureKind, retries: int, done: int, reason: str
) -> None:
    failed = FailureReport("r", "nightly", ended=NOON, steps=(FailedStep("", kind, "why"),))
    assert decide_retry(failed, group(retries=retries), done).reason == reason
    started = replace(failed, started=NOON - 1)
    assert "it never started" not in decide_retry(started, group(retries=retries), done).reason


def test_a_warning_check_does_not_prevent_a_retry() -> None:
    warning = FailedCheck("a", "t", warns=True, rows=1, kind=FailureKind.DATA_TEST)
    assert decide_retry(report(LOST, checks=(warning,)), group(), 0).due is not None


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.CONSTANT, [30, 30, 30]),
        (Backoff.LINEAR, [30, 60, 90]),
        (Backoff.EXPONENTIAL, [30, 60, 120]),
    ],
)
def test_the_delay_of_a_retry_grows_by_the_groups_backoff(backoff: Backoff, delays: list[int]) -> None:
    asked = group(retry_delay=30, retry_backoff=backoff)
    assert [retry_delay(asked, number) for number in (1, 2, 3)] == delays


def test_the_tags_of_a_retry_are_dagsters_own() -> None:
    assert dagster_tags.PARENT_RUN_ID_TAG == PARENT
    assert dagster_tags.ROOT_RUN_ID_TAG == ROOT
    assert dagster_tags.RETRY_NUMBER_TAG == NUMBER
    assert dagster_tags.AUTO_RETRY_RUN_ID_TAG == retry_sensors._DAGSTER_RETRY


# --- the sensor -------------------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def groups(instance: dg.DagsterInstance) -> ThreeGroups:
    return ThreeGroups(instance, three_groups(retries=2))


def fail(groups: ThreeGroups, message: str, **tags: str) -> str:
    """Launch a run of the hourly group that fails like a build in which dbt could not build its table."""
    return end_badly(groups, groups.launch("hourly", tags), message)


def end_badly(groups: ThreeGroups, run_id: str, message: str) -> str:
    """Fail a run like a build in which dbt could not build the hourly table."""
    observation = to_observation(NodeFailure(hourly_table.key, message))
    for kind, data in (
        ("ASSET_OBSERVATION", AssetObservationData(observation)),
        ("STEP_FAILURE", StepFailureData(error=None, user_failure_data=None)),  # type: ignore[no-untyped-call]
    ):
        event = DagsterEvent(kind, "hourly", step_key="hourly_table", event_specific_data=data)
        groups.instance.report_dagster_event(event, run_id)
    groups.end(run_id, "FAILURE")
    return run_id


def tags_of(groups: ThreeGroups, run_id: str) -> dict[str, str]:
    run = groups.instance.get_run_by_id(run_id)
    assert run is not None
    return dict(run.tags)


def policies(groups: ThreeGroups, **retries: int) -> RetryPolicies:
    copies = {
        name: one.group.model_copy(update={"retries": retries.get(name, one.group.retries)})
        for name, one in groups.groups.by_name.items()
    }
    assets = {asset: name for name, one in groups.groups.by_name.items() for asset in one.assets}
    return RetryPolicies(copies, IngestionRuns(retries=3), {**assets, dg.AssetKey("raw"): INGESTION})


def evaluate(groups: ThreeGroups, later: float = 0.0, *, ad_hoc: bool = False) -> tuple[list[dg.RunRequest], list[str]]:
    """Evaluate a retry sensor some seconds from now; return its run requests and its messages."""
    now = time.time() + later
    watched: dict[str, Any] = {"job": AD_HOC, "location": "here"} if ad_hoc else {"tags": {PROJECT_TAG: "shop"}}
    records = find_failed_runs(groups.instance, now, **watched)
    report = partial(REPORT_READER.read, groups.instance, repository=None)
    return RetryEvaluation(groups.instance, policies(groups), report, now).run(records)


def test_a_retry_is_requested_when_it_is_due_with_the_remaining_work(groups: ThreeGroups) -> None:
    first = fail(
        groups, "Database Error in model x (x.sql)\n  connection refused", team="finance", **{STARTED_BY: "files"}
    )
    requests, [line] = evaluate(groups)
    assert not requests
    assert "retry 1 of 2" in line
    assert tags_of(groups, first)[DECISION].startswith("retry 1 of 2 at")
    assert not evaluate(groups, 50)[0]
    [request], _ = evaluate(groups, 70)
    assert request.job_name == "hourly"
    assert request.asset_selection == [hourly_part.key, hourly_table.key]
    assert request.run_key == f"retry:{first}"
    assert {name: request.tags[name] for name in (PARENT, ROOT, NUMBER, "team", STARTED_BY)} == {
        PARENT: first,
        ROOT: first,
        NUMBER: "1",
        "team": "finance",
        STARTED_BY: "files",
    }
    assert DECISION not in request.tags
    assert DUE not in request.tags


def test_a_run_names_its_retry_and_gets_no_second_one(groups: ThreeGroups) -> None:
    first = fail(groups, "connection refused")
    [request], _ = evaluate(groups, 70) if evaluate(groups) else ([], [])
    second = groups.launch("hourly", request.tags)
    requests, [line] = evaluate(groups, 80)
    assert not requests
    assert tags_of(groups, first)[RETRIED_BY] == second
    assert second in line
    assert evaluate(groups, 90) == ([], [])


def test_after_the_last_retry_no_other_is_requested(groups: ThreeGroups) -> None:
    first = fail(groups, "connection refused")
    second = fail(groups, "connection refused", **{PARENT: first, ROOT: first, NUMBER: "1"})
    evaluate(groups)
    [request], _ = evaluate(groups, 130)
    assert (request.tags[PARENT], request.tags[ROOT], request.tags[NUMBER]) == (second, first, "2")
    third = fail(groups, "connection refused", **request.tags)
    evaluate(groups, 140)
    assert not evaluate(groups, 10_000)[0]
    run = groups.instance.get_run_by_id(third)
    assert run is not None
    assert not may_be_retried(run, sensor_is_on=True)


def test_the_retries_of_a_retry_belong_to_the_same_run(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as home:
        _check_retries_of_a_retry(ThreeGroups(home, three_groups(retries=2)))


def _check_retries_of_a_retry(groups: ThreeGroups) -> None:
    first = fail(groups, "connection refused")
    family = {PARENT: first, ROOT: first, NUMBER: "1"}
    second = groups.launch("hourly", family)
    third = groups.launch("hourly", {**family, PARENT: second, NUMBER: "2"})
    snapshot = InstanceSnapshot(groups.instance, groups.groups)
    assert {run.run_id for run in snapshot.run_and_retries(second)} == {first, second, third}


def test_a_run_with_a_permanent_failure_is_not_retried(groups: ThreeGroups) -> None:
    first = fail(groups, "Runtime Error in model x (x.sql)\n  Binder Error: no such column")
    requests, [line] = evaluate(groups)
    assert not requests
    assert "not retried: it would fail again (SQL error)" in line
    assert not evaluate(groups, 1_000)[0]
    assert DUE not in tags_of(groups, first)


def test_a_failed_run_without_a_decision_may_be_retried_if_the_sensor_is_on(groups: ThreeGroups) -> None:
    run = groups.instance.get_run_by_id(fail(groups, "connection refused"))
    assert run is not None
    assert may_be_retried(run, sensor_is_on=True)
    assert not may_be_retried(run, sensor_is_on=False)
    assert not may_be_retried(run.with_tags({**run.tags, RETRIES_TAG: "0"}), sensor_is_on=True)


def test_a_retry_that_is_overdue_by_an_hour_is_abandoned(groups: ThreeGroups) -> None:
    first = fail(groups, "connection refused")
    evaluate(groups)
    requests, [line] = evaluate(groups, 4_000)
    assert not requests
    assert "its retry is overdue by more than an hour" in line
    assert RETRIED_BY in tags_of(groups, first)


def test_the_report_is_logged_once_with_the_decision_and_without_secrets(groups: ThreeGroups) -> None:
    run_id = fail(groups, "Database Error in model a (a.sql)\n  permission denied, password=topsecret1 hunter2")
    evaluate(groups)
    evaluate(groups)
    events = groups.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    reports: list[Any] = [
        entry.dagster_event.engine_event_data.metadata[REPORT].value
        for entry in events
        if entry.dagster_event and REPORT in entry.dagster_event.engine_event_data.metadata
    ]
    [found] = reports
    assert found["nodes"][0]["kind"] == "permission"
    assert found["retry"]["reason"] == "not retried: it would fail again (permission)"
    assert "topsecret1" not in str(found)
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_that_dagster_retries_gets_no_other_retry(groups: ThreeGroups, *, waits: bool) -> None:
    tags = {"dagster/will_retry": "true", **({} if waits else {"dagster/auto_retry_run_id": "another"})}
    run_id = fail(groups, "connection refused", **{**tags, RETRIES_TAG: "0"})
    run = groups.instance.get_run_by_id(run_id)
    assert run is not None
    groups.instance.add_run_tags(run_id, tags)  # Dagster sets this tag when a run fails
    assert evaluate(groups) == ([], [])
    run = groups.instance.get_run_by_id(run_id)
    assert run is not None
    assert may_be_retried(run, sensor_is_on=False) is waits


def test_both_sensors_are_on_by_default(groups: ThreeGroups) -> None:
    sensors = build_retry_sensors([], "shop", policies(groups), REPORT_READER)
    assert [sensor.name for sensor in sensors] == [RETRIES_SENSOR, AD_HOC_SENSOR]
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}


# --- runs without a group -------------------------------------------------------------------------------------


def materialize(groups: ThreeGroups, *assets: dg.AssetKey, location: str = "here") -> str:
    """Launch a run of assets, as "Materialize" in the UI does."""
    there = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    job = groups.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(assets))
    run = groups.instance.create_run_for_job(
        job,
        asset_selection=frozenset(assets),
        status=dg.DagsterRunStatus.STARTED,
        remote_job_origin=there.get_job_origin(AD_HOC),
    )
    return run.run_id


def test_a_run_of_materialize_in_the_ui_is_retried_by_its_groups_policy(groups: ThreeGroups) -> None:
    run_id = end_badly(groups, materialize(groups, hourly_table.key), "connection refused")
    assert evaluate(groups) == ([], []), "the sensor of the jobs ignores it"
    run = groups.instance.get_run_by_id(run_id)
    assert run is not None
    assert may_be_retried(run, sensor_is_on=True)
    evaluate(groups, ad_hoc=True)
    [request], _ = evaluate(groups, 70, ad_hoc=True)
    assert (request.job_name, request.asset_selection) == (AD_HOC, [hourly_table.key])
    assert request.tags[PARENT] == run_id


def test_the_ad_hoc_sensor_requests_a_run_of_the_failed_assets(groups: ThreeGroups) -> None:
    _, sensor = build_retry_sensors([], "shop", policies(groups), REPORT_READER)
    definitions = dg.Definitions.merge(groups.definitions, dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()
    run_id = end_badly(groups, materialize(groups, hourly_table.key), "connection refused")
    groups.instance.add_run_tags(run_id, {DECISION: "retry 1 of 2", DUE: "2026-01-01T00:00:00+00:00"})

    def tick() -> Any:
        context = dg.build_sensor_context(
            instance=groups.instance, repository_def=repository, sensor_name=AD_HOC_SENSOR
        )
        return repository.get_sensor_def(AD_HOC_SENSOR).evaluate_tick(context)

    assert "its retry is overdue by more than an hour" in str(tick().skip_message)
    run_id = end_badly(groups, materialize(groups, hourly_table.key), "connection refused")
    due = datetime.now(timezone.utc).isoformat()
    groups.instance.add_run_tags(run_id, {DECISION: "retry 1 of 2", DUE: due})
    [request] = tick().run_requests
    assert (request.job_name, list(request.asset_selection)) == (AD_HOC, [hourly_table.key])


def test_the_ad_hoc_sensor_ignores_runs_of_other_locations(groups: ThreeGroups) -> None:
    end_badly(groups, materialize(groups, hourly_table.key, location="there"), "connection refused")
    assert evaluate(groups, ad_hoc=True) == ([], [])


@pytest.mark.parametrize(
    ("assets", "retries"),
    [
        (["hourly_table"], 2),
        (["hourly_table", "nightly_table"], 1),
        (["raw"], 3),
        (["hourly_table", "unknown"], 2),
        (["unknown"], None),
    ],
)
def test_a_run_of_several_groups_has_the_fewest_of_their_retries(
    groups: ThreeGroups, assets: list[str], retries: int | None
) -> None:
    run = dg.DagsterRun(AD_HOC, asset_selection=frozenset(map(dg.AssetKey, assets)))
    policy = policies(groups, nightly=1).of(run)
    assert (policy.retries if policy else None) == retries
    assert policies(groups).of(dg.DagsterRun(INGESTION)) == IngestionRuns(retries=3)


def from_command_line(groups: ThreeGroups, process: str) -> str:
    """Launch and fail a run that a command line started."""
    job = groups.definitions.resolve_job_def("hourly")
    run = groups.instance.create_run_for_job(job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED)
    tags = dict(process_tags(run.run_id))
    [tag] = tags
    own = tags[tag].partition("@")[2]
    groups.instance.add_run_tags(run.run_id, {tag: process.replace("HOST", own) or tags[tag]})
    return end_badly(groups, run.run_id, "connection refused")


def test_a_run_is_left_to_the_command_line_until_that_process_has_ended(groups: ThreeGroups) -> None:
    from_command_line(groups, "")
    assert evaluate(groups, 500) == ([], []), "this process is alive"
    dead = from_command_line(groups, "4194304@HOST")
    _, [line] = evaluate(groups)
    assert f"Run {dead} of hourly: retry 1 of 2" in line
    [request], _ = evaluate(groups, 70)
    assert request.tags[PARENT] == dead


def test_a_run_is_left_to_a_command_line_on_another_machine_for_some_time(groups: ThreeGroups) -> None:
    run_id = from_command_line(groups, "17@elsewhere 1.00 1.00 of run RUN")
    groups.instance.add_run_tags(run_id, {"analytics_dagster/process": f"17@elsewhere 1.00 1.00 of run {run_id}"})
    assert evaluate(groups, 100) == ([], [])
    [request], [line, _] = evaluate(groups, 130)
    assert "retry 1 of 2" in line
    assert request.tags[PARENT] == run_id
