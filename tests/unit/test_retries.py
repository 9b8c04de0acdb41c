"""Retries: only what may pass by itself, after a while that grows, as often as the group says; what failed alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, DagsterEvent  # as a run worker reports them
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage import tags as dagster_tags  # the names of Dagster's own tags

from analytics_dagster.automation import retrying
from analytics_dagster.automation.jobs import RETRIES_TAG
from analytics_dagster.automation.retries import Retries, build_retries_sensor
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
from analytics_dagster.automation.situation import Order, Situation
from analytics_dagster.failures.classification import FailureKind
from analytics_dagster.failures.reading import Place
from analytics_dagster.failures.recording import Failure, to_observation
from analytics_dagster.failures.report import FailedCheck, FailedNode, FailureReport
from analytics_dagster.transform.groups import Backoff, ScheduleGroup
from tests.unit.ordered import Shop, hourly_table, ordered_groups

NOON = 1_780_315_200.0
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
        (report(LOST), group(retries=0), 0, "not retried: its schedule group asks for no retries"),
        (report(LOST), None, 0, "not retried: its schedule group asks for no retries"),
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
    run_id = shop.launch("hourly", tags)
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


def look(shop: Shop, later: float = 0.0) -> tuple[list[dg.RunRequest], list[str]]:
    return Retries(shop.instance, shop.order, Place(), time.time() + later).look()


def test_a_retry_is_requested_once_it_is_due_with_what_the_run_has_left(shop: Shop) -> None:
    first = fail(shop, "Database Error in model x (x.sql)\n  connection refused", team="finance")
    requests, [line] = look(shop)
    assert not requests
    assert "retry 1 of 2" in line
    assert tags_of(shop, first)[DECISION].startswith("retry 1 of 2 at")
    assert not look(shop, 50)[0]
    [request], _ = look(shop, 70)
    assert request.job_name == "hourly"
    assert request.asset_selection == [hourly_table.key]
    assert request.run_key == f"retry:{first}"
    assert {name: request.tags[name] for name in (PARENT, ROOT, NUMBER, "team")} == {
        PARENT: first,
        ROOT: first,
        NUMBER: "1",
        "team": "finance",
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
    assert not may_be_retried(replace_origin(run), sensor_is_on=True)


def replace_origin(run: dg.DagsterRun) -> dg.DagsterRun:
    """Return the run as our command line would have started it."""
    without: dg.DagsterRun = run._replace(remote_job_origin=None)
    return without


def test_a_retry_that_would_come_an_hour_too_late_is_given_up(shop: Shop) -> None:
    first = fail(shop, "connection refused")
    look(shop)
    requests, [line] = look(shop, 4_000)
    assert not requests
    assert "it would come too late" in line
    assert RETRIED_BY in tags_of(shop, first)


def test_the_sensor_is_on_everywhere_and_starts_nothing_without_need(shop: Shop) -> None:
    order: Order = shop.order
    sensor = build_retries_sensor([], order, Place())
    assert sensor.name == retrying.SENSOR
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
