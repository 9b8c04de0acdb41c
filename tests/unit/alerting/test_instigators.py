"""Sensors and schedules that fail, schedules that did not fire, and a daemon that is silent, are incidents too."""

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

from analytics_dagster.alerting.incidents import IncidentEvent, Severity, advance
from analytics_dagster.alerting.instigators import InstigatorTick, observe_ticks, read_ticks
from analytics_dagster.alerting.watch import observe_daemon
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.automation.three_groups import ORIGIN

SIX = datetime(2026, 6, 1, 6, tzinfo=timezone.utc).timestamp()
HOUR = 3_600.0
NIGHTLY = ScheduleGroup(name="nightly", select="*", cron="0 6 * * *", time_zone="UTC")
SCHEDULES = {"nightly_schedule": NIGHTLY}


def schedule(moment: float | None, **others: object) -> InstigatorTick:
    facts = {"is_schedule": True, "is_on": True, **others}
    return InstigatorTick("nightly_schedule", moment=moment, **facts)  # type: ignore[arg-type]


def sensor(moment: float, *, failed: bool = False, error: str = "") -> InstigatorTick:
    return InstigatorTick("landing_sensor", is_schedule=False, is_on=True, moment=moment, failed=failed, error=error)


def test_a_sensor_that_fails_is_an_incident_until_it_works_again() -> None:
    failing = sensor(SIX, failed=True, error="PermissionError: access denied, token=hunter22")
    observation = observe_ticks([failing], {}, began=0, now=SIX + 10)
    [alert] = observation.alerts
    assert alert.title == "sensor landing_sensor fails"
    assert alert.kind is FailureKind.PERMISSION
    assert "hunter22" not in alert.message
    incidents, _ = advance((), observation)
    later = observe_ticks([failing], {}, began=0, now=SIX + 40)
    assert advance(incidents, later)[1] == [], "the same tick, looked at again, is no news"
    well = observe_ticks([sensor(SIX + 60)], {}, began=0, now=SIX + 70)
    assert [change.event for change in advance(incidents, well)[1]] == [IncidentEvent.RECOVERED]


def test_a_schedule_that_did_not_fire_is_an_incident_a_quarter_of_an_hour_later() -> None:
    yesterday = schedule(SIX - 24 * HOUR)
    for minutes, expected in ((10, []), (16, ["schedule nightly_schedule did not fire at 2026-06-01 06:00 UTC"])):
        found = observe_ticks([yesterday], SCHEDULES, began=0, now=SIX + minutes * 60)
        assert [alert.title for alert in found.alerts] == expected
    incidents, _ = advance((), found)
    fired = observe_ticks([schedule(SIX)], SCHEDULES, began=0, now=SIX + 20 * 60)
    assert [change.event for change in advance(incidents, fired)[1]] == [IncidentEvent.RECOVERED]


def test_a_schedule_is_not_missed_before_anybody_looked_or_while_it_is_off() -> None:
    late = SIX + 2 * HOUR
    assert not observe_ticks([schedule(None)], SCHEDULES, began=SIX + 60, now=late).alerts
    assert not observe_ticks([schedule(None, on_since=SIX + 60)], SCHEDULES, began=0, now=late).alerts
    assert not observe_ticks([schedule(None, is_on=False)], SCHEDULES, began=0, now=late).alerts
    assert observe_ticks([schedule(None)], SCHEDULES, began=SIX - 60, now=late).alerts


def test_a_daemon_that_is_silent_is_critical_and_names_its_silent_parts() -> None:
    required = ["SENSOR", "SCHEDULER"]
    assert not observe_daemon({"SENSOR": SIX, "SCHEDULER": SIX}, required, SIX + 299, 300).alerts
    [alert] = observe_daemon({"SENSOR": SIX, "SCHEDULER": SIX}, required, SIX + 301, 300).alerts
    assert alert.severity is Severity.CRITICAL
    assert alert.title == "Dagster's daemon is silent since 5 min"
    [part] = observe_daemon({"SENSOR": SIX, "SCHEDULER": SIX + 300}, required, SIX + 301, 300).alerts
    assert part.title.startswith("parts of")
    assert "No heartbeat of: SENSOR." in part.message
    [never] = observe_daemon({}, required, SIX, 300).alerts
    assert never.title == "Dagster's daemon is silent"


def test_the_last_tick_of_each_is_read_from_the_instance(tmp_path: Path) -> None:
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
