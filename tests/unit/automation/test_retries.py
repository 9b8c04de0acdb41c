"""Retries: only what may pass by itself, after a while that grows, as often as the group says; what failed alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
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

from analytics_dagster.automation import retries, retrying
from analytics_dagster.automation.jobs import AD_HOC, INGESTION, PROJECT_TAG, RETRIES_TAG
from analytics_dagster.automation.landing_sensor import STARTED_BY
from analytics_dagster.automation.retries import (
    Retries,
    Watched,
    build_ad_hoc_retries_sensor,
    build_retries_sensor,
)
from analytics_dagster.automation.retry_policies import RetryPolicies
from analytics_dagster.automation.retrying import (
    DECISION,
    DUE,
    NUMBER,
    PARENT,
    RETRIED_BY,
    ROOT,
    decide,
    may_be_retried,
    pause,
)
from analytics_dagster.automation.situation import Situation
from analytics_dagster.execution.failures.attach import REPORT, Reporter
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.events import Place
from analytics_dagster.execution.failures.observation import Failure, to_observation
from analytics_dagster.execution.failures.report import FailedCheck, FailedNode, FailureReport
from analytics_dagster.planning.groups import Backoff, IngestionRuns, ScheduleGroup
from analytics_dagster.processes import process_tags
from tests.unit.automation.ordered import Shop, hourly_table, ordered_groups

pytestmark = pytest.mark.slow

NOON = 1_780_315_200.0
REPORTER = Reporter(dict, lambda: Place(secrets=frozenset({"hunter2"})))
LOST = FailedNode("a", FailureKind.CONNECTION, "connection lost")
BAD = FailedNode("b", FailureKind.SQL, "no such column")


def group(**others: Any) -> ScheduleGroup:
    return ScheduleGroup(name="nightly", select="*", **{"retries": 2, **others})


def report(*nodes: FailedNode, checks: tuple[FailedCheck, ...] = ()) -> FailureReport:
    return FailureReport("r", "nightly", ended=NOON, nodes=nodes, checks=checks)


# --- the decision -----------------------------------------------------------------------------------------------


def test_a_run_whose_every_failure_may_pass_is_retried_after_a_while() -> None:
    retry = decide(report(LOST), group(), 0)
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
        (report(LOST), group(), 2, "not retried again: 2 of 2 retries are used up (connection)"),
        (report(LOST), group(retries=0), 0, "not retried: the schedule groups' file asks for no retries of it"),
        (report(LOST), None, 0, "not retried: the schedule groups' file asks for no retries of it"),
        (report(), group(), 0, "not retried: it would fail again (nothing says why it failed)"),
    ],
)
def test_any_other_is_not_and_it_says_why(
    failed: FailureReport, asked: ScheduleGroup | None, done: int, reason: str
) -> None:
    retry = decide(failed, asked, done)
    assert retry.due is None
    assert retry.reason == reason


def test_a_check_that_warns_keeps_no_run_from_being_retried() -> None:
    warning = FailedCheck("a", "t", warns=True, rows=1, kind=FailureKind.DATA_TEST)
    assert decide(report(LOST, checks=(warning,)), group(), 0).due is not None


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        (Backoff.CONSTANT, [30, 30, 30]),
        (Backoff.LINEAR, [30, 60, 90]),
        (Backoff.EXPONENTIAL, [30, 60, 120]),
    ],
)
def test_the_time_to_a_retry_grows_as_the_group_says(backoff: Backoff, pauses: list[int]) -> None:
    asked = group(retry_delay=30, retry_backoff=backoff)
    assert [pause(asked, number) for number in (1, 2, 3)] == pauses


def test_the_tags_of_a_retry_are_dagsters_own() -> None:
    assert dagster_tags.PARENT_RUN_ID_TAG == PARENT
    assert dagster_tags.ROOT_RUN_ID_TAG == ROOT
    assert dagster_tags.RETRY_NUMBER_TAG == NUMBER
    assert dagster_tags.AUTO_RETRY_RUN_ID_TAG == retries._BY_DAGSTER


# --- the sensor -------------------------------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def shop(instance: dg.DagsterInstance) -> Shop:
    return Shop(instance, ordered_groups(retries=2))


def fail(shop: Shop, message: str, **tags: str) -> str:
    """Let a run of the hourly group fail as a build does in which dbt could not build its table."""
    return end_badly(shop, shop.launch("hourly", tags), message)


def end_badly(shop: Shop, run_id: str, message: str) -> str:
    """Let a run fail as a build does in which dbt could not build the hourly table."""
    observation = to_observation(Failure(hourly_table.key, message))
    for kind, data in (
        ("ASSET_OBSERVATION", AssetObservationData(observation)),
        ("STEP_FAILURE", StepFailureData(error=None, user_failure_data=None)),  # type: ignore[no-untyped-call]
    ):
        event = DagsterEvent(kind, "hourly", step_key="hourly_table", event_specific_data=data)
        shop.instance.report_dagster_event(event, run_id)
    shop.end(run_id, "FAILURE")
    return run_id


def tags_of(shop: Shop, run_id: str) -> dict[str, str]:
    run = shop.instance.get_run_by_id(run_id)
    assert run is not None
    return dict(run.tags)


def policies(shop: Shop, **retries: int) -> RetryPolicies:
    groups = {
        name: one.group.model_copy(update={"retries": retries.get(name, one.group.retries)})
        for name, one in shop.order.groups.items()
    }
    assets = {asset: name for name, one in shop.order.groups.items() for asset in one.assets}
    return RetryPolicies(groups, IngestionRuns(retries=3), {**assets, dg.AssetKey("raw"): INGESTION})


def look(shop: Shop, later: float = 0.0, *, ad_hoc: bool = False) -> tuple[list[dg.RunRequest], list[str]]:
    watched = Watched(job=AD_HOC, location="here") if ad_hoc else Watched(tags={PROJECT_TAG: "shop"})
    report = partial(REPORTER.read, shop.instance, repository=None)
    return Retries(shop.instance, watched, policies(shop), report, time.time() + later).look()


def test_a_retry_is_requested_once_it_is_due_with_what_the_run_has_left(shop: Shop) -> None:
    first = fail(
        shop, "Database Error in model x (x.sql)\n  connection refused", team="finance", **{STARTED_BY: "files"}
    )
    requests, [line] = look(shop)
    assert not requests
    assert "retry 1 of 2" in line
    assert tags_of(shop, first)[DECISION].startswith("retry 1 of 2 at")
    assert not look(shop, 50)[0]
    [request], _ = look(shop, 70)
    assert request.job_name == "hourly"
    assert request.asset_selection == [hourly_table.key]
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


def test_when_the_retry_is_there_the_run_says_so_and_no_other_is_requested(shop: Shop) -> None:
    first = fail(shop, "connection refused")
    [request], _ = look(shop, 70) if look(shop) else ([], [])
    second = shop.launch("hourly", request.tags)
    requests, [line] = look(shop, 80)
    assert not requests
    assert tags_of(shop, first)[RETRIED_BY] == second
    assert second in line
    assert look(shop, 90) == ([], [])


def test_the_second_retry_follows_the_first_and_then_it_is_over(shop: Shop) -> None:
    first = fail(shop, "connection refused")
    second = fail(shop, "connection refused", **{PARENT: first, ROOT: first, NUMBER: "1"})
    look(shop)
    [request], _ = look(shop, 130)
    assert (request.tags[PARENT], request.tags[ROOT], request.tags[NUMBER]) == (second, first, "2")
    third = fail(shop, "connection refused", **request.tags)
    look(shop, 140)
    assert not look(shop, 10_000)[0]
    run = shop.instance.get_run_by_id(third)
    assert run is not None
    assert not may_be_retried(run, sensor_is_on=True)


def test_who_waits_for_a_retry_waits_for_those_that_follow_it_too(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as home:
        _waits_for_those_that_follow(Shop(home, ordered_groups(retries=2)))


def _waits_for_those_that_follow(shop: Shop) -> None:
    first = fail(shop, "connection refused")
    family = {PARENT: first, ROOT: first, NUMBER: "1"}
    second = shop.launch("hourly", family)
    third = shop.launch("hourly", {**family, PARENT: second, NUMBER: "2"})
    situation = Situation(shop.instance, shop.order)
    assert {run.run_id for run in situation.family(second)} == {first, second, third}


def test_a_run_that_would_fail_again_is_not_retried(shop: Shop) -> None:
    first = fail(shop, "Runtime Error in model x (x.sql)\n  Binder Error: no such column")
    requests, [line] = look(shop)
    assert not requests
    assert "not retried: it would fail again (SQL error)" in line
    assert not look(shop, 1_000)[0]
    assert DUE not in tags_of(shop, first)


def test_until_it_is_decided_a_failed_run_may_be_retried_but_not_where_the_sensor_is_off(shop: Shop) -> None:
    run = shop.instance.get_run_by_id(fail(shop, "connection refused"))
    assert run is not None
    assert may_be_retried(run, sensor_is_on=True)
    assert not may_be_retried(run, sensor_is_on=False)
    assert not may_be_retried(run.with_tags({**run.tags, RETRIES_TAG: "0"}), sensor_is_on=True)


def test_a_retry_that_would_come_an_hour_too_late_is_given_up(shop: Shop) -> None:
    first = fail(shop, "connection refused")
    look(shop)
    requests, [line] = look(shop, 4_000)
    assert not requests
    assert "it would come too late" in line
    assert RETRIED_BY in tags_of(shop, first)


def test_the_report_is_in_the_log_of_the_run_once_with_what_becomes_of_it_and_without_secrets(shop: Shop) -> None:
    run_id = fail(shop, "Database Error in model a (a.sql)\n  permission denied, password=topsecret1 hunter2")
    look(shop)
    look(shop)
    events = shop.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
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
def test_a_run_of_dagsters_own_retries_is_left_to_it(shop: Shop, *, waits: bool) -> None:
    tags = {"dagster/will_retry": "true", **({} if waits else {"dagster/auto_retry_run_id": "another"})}
    run_id = fail(shop, "connection refused", **{**tags, RETRIES_TAG: "0"})
    run = shop.instance.get_run_by_id(run_id)
    assert run is not None
    shop.instance.add_run_tags(run_id, tags)  # Dagster says itself what it will do when a run fails
    assert look(shop) == ([], [])
    run = shop.instance.get_run_by_id(run_id)
    assert run is not None
    assert may_be_retried(run, sensor_is_on=False) is waits, "who waits for it waits for its retry"


def test_both_sensors_are_on_everywhere(shop: Shop) -> None:
    sensor = build_retries_sensor([], {}, policies(shop), REPORTER)
    assert sensor.name == retrying.SENSOR
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert build_ad_hoc_retries_sensor(policies(shop), REPORTER).default_status is dg.DefaultSensorStatus.RUNNING


# --- what is no group's run -------------------------------------------------------------------------------------


def materialize(shop: Shop, *assets: dg.AssetKey, location: str = "here") -> str:
    """Let somebody materialize assets in the UI."""
    there = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    job = shop.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(assets))
    run = shop.instance.create_run_for_job(
        job,
        asset_selection=frozenset(assets),
        status=dg.DagsterRunStatus.STARTED,
        remote_job_origin=there.get_job_origin(AD_HOC),
    )
    return run.run_id


def test_what_somebody_has_materialized_in_the_ui_is_retried_as_its_group_is(shop: Shop) -> None:
    run_id = end_badly(shop, materialize(shop, hourly_table.key), "connection refused")
    assert look(shop) == ([], []), "it is not the sensor's of the jobs"
    run = shop.instance.get_run_by_id(run_id)
    assert run is not None
    assert may_be_retried(run, sensor_is_on=True)
    look(shop, ad_hoc=True)
    [request], _ = look(shop, 70, ad_hoc=True)
    assert (request.job_name, request.asset_selection) == (AD_HOC, [hourly_table.key])
    assert request.tags[PARENT] == run_id


def test_the_sensor_of_the_ui_asks_for_a_run_of_the_assets_that_failed(shop: Shop) -> None:
    sensor = build_ad_hoc_retries_sensor(policies(shop), REPORTER)
    definitions = dg.Definitions.merge(shop.definitions, dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()
    run_id = end_badly(shop, materialize(shop, hourly_table.key), "connection refused")
    shop.instance.add_run_tags(run_id, {DECISION: "retry 1 of 2", DUE: "2026-01-01T00:00:00+00:00"})

    def tick() -> Any:
        context = dg.build_sensor_context(
            instance=shop.instance, repository_def=repository, sensor_name=retrying.AD_HOC_SENSOR
        )
        return repository.get_sensor_def(retrying.AD_HOC_SENSOR).evaluate_tick(context)

    assert "it would come too late" in str(tick().skip_message)
    run_id = end_badly(shop, materialize(shop, hourly_table.key), "connection refused")
    due = datetime.now(timezone.utc).isoformat()
    shop.instance.add_run_tags(run_id, {DECISION: "retry 1 of 2", DUE: due})
    [request] = tick().run_requests
    assert (request.job_name, list(request.asset_selection)) == (AD_HOC, [hourly_table.key])


def test_that_of_another_location_is_left_to_it(shop: Shop) -> None:
    end_badly(shop, materialize(shop, hourly_table.key, location="there"), "connection refused")
    assert look(shop, ad_hoc=True) == ([], [])


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
def test_of_several_groups_that_counts_which_asks_for_the_fewest(
    shop: Shop, assets: list[str], retries: int | None
) -> None:
    run = dg.DagsterRun(AD_HOC, asset_selection=frozenset(map(dg.AssetKey, assets)))
    policy = policies(shop, nightly=1).of(run)
    assert (policy.retries if policy else None) == retries
    assert policies(shop).of(dg.DagsterRun(INGESTION)) == IngestionRuns(retries=3)


def from_command_line(shop: Shop, process: str) -> str:
    """Let a run fail that a command line has started."""
    job = shop.definitions.resolve_job_def("hourly")
    run = shop.instance.create_run_for_job(job, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED)
    tags = dict(process_tags(run.run_id))
    [tag] = tags
    own = tags[tag].partition("@")[2]
    shop.instance.add_run_tags(run.run_id, {tag: process.replace("HOST", own) or tags[tag]})
    return end_badly(shop, run.run_id, "connection refused")


def test_what_a_command_line_has_started_is_its_own_while_it_lives_and_continued_when_it_has_gone(shop: Shop) -> None:
    from_command_line(shop, "")
    assert look(shop, 500) == ([], []), "it is this process"
    dead = from_command_line(shop, "4194304@HOST")
    _, [line] = look(shop)
    assert f"Run {dead} of hourly: retry 1 of 2" in line
    [request], _ = look(shop, 70)
    assert request.tags[PARENT] == dead


def test_a_command_line_of_another_machine_is_given_some_time(shop: Shop) -> None:
    run_id = from_command_line(shop, "17@elsewhere 1.00 1.00 of run RUN")
    shop.instance.add_run_tags(run_id, {"analytics_dagster/process": f"17@elsewhere 1.00 1.00 of run {run_id}"})
    assert look(shop, 100) == ([], [])
    [request], [line, _] = look(shop, 130)
    assert "retry 1 of 2" in line
    assert request.tags[PARENT] == run_id
