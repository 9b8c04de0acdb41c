"""Alerts about failed sensors and schedules, and about missed ticks of schedules."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import (  # what the daemon writes
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from analytics_dagster.alerting.incidents import IncidentEvent, advance
from analytics_dagster.alerting.instigators import InstigatorTick, observe_ticks, read_ticks
from analytics_dagster.automation.landing_cursor import LandingCursor, RequestedTable
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.automation.three_groups import ORIGIN

SIX = datetime(2026, 6, 1, 6, tzinfo=timezone.utc).timestamp()
HOUR = 3_600.0
NIGHTLY = ScheduleGroup(name="nightly", select="*", cron="0 6 * * *", time_zone="UTC")
SCHEDULES = {"nightly_schedule": NIGHTLY}


def schedule(moment: float | None, **others: object) -> InstigatorTick:
    facts = {"is_on": True, **others}
    return InstigatorTick("schedule", "nightly_schedule", moment=moment, **facts)  # type: ignore[arg-type]


def sensor(moment: float, *, failed: bool = False, error: str = "") -> InstigatorTick:
    return InstigatorTick("sensor", "landing_sensor", is_on=True, moment=moment, failed=failed, error=error)


def test_a_failed_sensor_is_an_incident_until_a_tick_succeeds() -> None:
    failing = sensor(SIX, failed=True, error="PermissionError: access denied, token=hunter22")
    observation = observe_ticks([failing], {}, began=0, now=SIX + 10)
    [alert] = observation.alerts
    assert alert.title == "sensor landing_sensor failed"
    assert alert.kind is FailureKind.PERMISSION
    assert "hunter22" not in alert.message
    incidents, _ = advance((), observation)
    later = observe_ticks([failing], {}, began=0, now=SIX + 40)
    assert advance(incidents.values(), later)[1] == {}, "the same tick is not reported twice"
    recovered = observe_ticks([sensor(SIX + 60)], {}, began=0, now=SIX + 70)
    assert list(advance(incidents.values(), recovered)[1].values()) == [IncidentEvent.RECOVERED]


def test_files_that_are_not_loaded_after_several_runs_are_an_incident_until_they_are() -> None:
    def landing(requests: int, due: float | None = SIX) -> InstigatorTick:
        one = RequestedTable("a", SIX, requests, due, files=2)
        requested = {"source.p.shop.orders": one} if requests else {}
        return InstigatorTick("sensor", "landing_sensor", True, SIX, cursor=LandingCursor(1, requested).to_text())  # noqa: FBT003 - is on

    assert observe_ticks([landing(2)], {}, began=0, now=SIX).alerts == ()
    observation = observe_ticks([landing(3)], {}, began=0, now=SIX)
    [alert] = observation.alerts
    assert alert.title == "files of shop.orders are still not loaded"
    assert alert.message == "2 files of shop.orders not loaded after 3 runs: the next run starts at 06:00:00 UTC."
    incidents, _ = advance((), observation)
    for requests, due in ((4, None), (4, SIX + 9)):
        later = observe_ticks([landing(requests, due)], {}, began=0, now=SIX + 60)
        assert advance(incidents.values(), later)[1] == {}
    loaded = observe_ticks([landing(0)], {}, began=0, now=SIX + 90)
    assert list(advance(incidents.values(), loaded)[1].values()) == [IncidentEvent.RECOVERED]


def test_a_missed_schedule_tick_is_an_incident_after_fifteen_minutes() -> None:
    yesterday = schedule(SIX - 24 * HOUR)
    for minutes, expected in ((10, []), (16, ["schedule nightly_schedule missed its tick of 2026-06-01 06:00 UTC"])):
        found = observe_ticks([yesterday], SCHEDULES, began=0, now=SIX + minutes * 60)
        assert [alert.title for alert in found.alerts] == expected
    incidents, _ = advance((), found)
    fired = observe_ticks([schedule(SIX)], SCHEDULES, began=0, now=SIX + 20 * 60)
    assert list(advance(incidents.values(), fired)[1].values()) == [IncidentEvent.RECOVERED]


def test_ticks_before_the_start_or_of_a_stopped_schedule_are_not_missed() -> None:
    late = SIX + 2 * HOUR
    assert not observe_ticks([schedule(None)], SCHEDULES, began=SIX + 60, now=late).alerts
    assert not observe_ticks([schedule(None, on_since=SIX + 60)], SCHEDULES, began=0, now=late).alerts
    assert not observe_ticks([schedule(None, is_on=False)], SCHEDULES, began=0, now=late).alerts
    assert observe_ticks([schedule(None)], SCHEDULES, began=SIX - 60, now=late).alerts


def test_the_last_finished_tick_is_read_from_the_instance(tmp_path: Path) -> None:
    error = SerializableErrorInfo("PermissionError: no", [], None)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for name, status in (("landing_sensor", TickStatus.FAILURE), ("due_runs_sensor", TickStatus.SKIPPED)):
            origin = RemoteInstigatorOrigin(ORIGIN, name)
            state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
            instance.add_instigator_state(state)
            for moment, how in ((SIX, status), (SIX + 30, TickStatus.STARTED)):
                data = TickData(
                    state.instigator_origin_id,
                    name,
                    InstigatorType.SENSOR,
                    how,
                    moment,
                    error=error if how is TickStatus.FAILURE else None,
                    selector_id=state.selector_id,
                )
                instance.create_tick(data)
        found = {tick.name: tick for tick in read_ticks(instance, "here", ["landing_sensor", "due_runs_sensor"])}
        elsewhere = read_ticks(instance, "elsewhere", ["landing_sensor"])
    assert found["landing_sensor"] == sensor(SIX, failed=True, error="PermissionError: no")
    assert not found["due_runs_sensor"].failed
    assert elsewhere == []
