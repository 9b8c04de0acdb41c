"""What storage shows about code locations, schedules and the queue while the daemon runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (  # the daemon stores them
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat

from analytics_dagster.alerting.health import (
    Instigator,
    QueuedRun,
    Watch,
    observe_locations,
    observe_overdue,
    observe_queue,
    read_instigators,
    read_queue,
)
from analytics_dagster.alerting.incidents import Observation, Severity
from analytics_dagster.alerting.watch import watch_daemon
from analytics_dagster.automation.overdue_runs import OverdueRun
from tests.unit.alerting.alert_scenario import AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

NOON = 1_780_315_200.0  # 2026-06-01 12:00 UTC
HOUR = 3_600.0


def sensor(ago: float, name: str = "s", location: str = "shop", interval: float = 30.0) -> Instigator:
    return Instigator(location, "sensor", name, NOON - ago, interval)


def schedule(ago: float, name: str = "hourly", location: str = "shop") -> Instigator:
    return Instigator(location, "schedule", name, NOON - ago)


def observed(*instigators: Instigator, began: float = 0.0, error: str = "") -> Observation:
    return observe_locations(instigators, Watch(NOON, 300.0, 2 * HOUR, began), lambda: error)


@pytest.mark.parametrize(
    ("instigators", "silent", "severity"),
    [
        ([sensor(10), schedule(HOUR)], "", None),
        # Its interval and the tolerance have passed.
        ([sensor(359), schedule(60)], "", None),
        ([sensor(361), schedule(60)], "has no ticks for 6 min", Severity.CRITICAL),
        ([sensor(3_000, interval=3_600)], "", None),
        # The daemon stores at least every hour that it evaluates a schedule.
        ([schedule(2 * HOUR)], "", None),
        ([schedule(3 * HOUR)], "has no ticks for 3 h", Severity.CRITICAL),
        # The location is loaded.
        ([sensor(10), schedule(3 * HOUR)], "schedule hourly", Severity.ERROR),
        ([sensor(10), sensor(900, "removed")], "sensor removed", Severity.ERROR),
        ([schedule(60), schedule(3 * HOUR, "daily")], "schedule daily", Severity.ERROR),
        ([sensor(900, "a"), sensor(900, "b"), schedule(60)], "has no ticks for 15 min", Severity.CRITICAL),
        # It can't be loaded: the sensor with the shorter interval is missed first.
        ([sensor(350, "fast", interval=10), sensor(345)], "", None),
        ([sensor(380, "fast", interval=10), sensor(375)], "has no ticks for 6 min", Severity.CRITICAL),
    ],
)
def test_a_location_whose_sensors_or_schedules_are_not_evaluated_is_reported(
    instigators: list[Instigator], silent: str, severity: Severity | None
) -> None:
    found = observed(*instigators)
    assert [alert.severity for alert in found.alerts] == ([severity] if severity else [])
    if not found.alerts:
        assert "location:shop" in found.succeeded
    for alert in found.alerts:
        assert silent in f"{alert.title} {alert.message}"
        assert "shop" in alert.title
        assert "location:shop" not in found.succeeded


def test_each_location_is_an_incident_of_its_own() -> None:
    found = observed(sensor(900, location="bank"), sensor(10, location="shop"), sensor(900, location="zoo"))
    assert [alert.key for alert in found.alerts] == ["location:bank", "location:zoo"]
    assert found.succeeded == {"location:shop", "location:no code location"}


def test_the_reason_is_looked_for_only_if_a_location_seems_not_to_be_loaded() -> None:
    def fail() -> str:
        raise AssertionError

    observe_locations([sensor(10)], Watch(NOON, 300.0, 2 * HOUR, 0.0), fail)
    [alert] = observed(sensor(900), error="Here it fails with ProjectError: no manifest").alerts
    assert alert.message.endswith("Here it fails with ProjectError: no manifest")


@pytest.mark.parametrize(("began", "expected"), [(NOON - 299, 0), (NOON - 301, 1)])
def test_without_any_sensor_or_schedule_no_location_was_ever_loaded(began: float, expected: int) -> None:
    found = observed(began=began)
    assert len(found.alerts) == expected
    assert all("no code location has been loaded" in alert.title for alert in found.alerts)


@pytest.mark.parametrize(
    ("ages", "in_progress", "severity"),
    [
        ([], False, None),
        ([299], False, None),
        ([10, 301], False, Severity.CRITICAL),
        # Others run: it waits for its turn.
        ([301], True, None),
        ([2 * HOUR + 1], True, Severity.ERROR),
    ],
)
def test_a_queue_that_does_not_move_is_reported(
    ages: list[float], severity: Severity | None, *, in_progress: bool
) -> None:
    queued = [QueuedRun(f"run-{age:.0f}", "hourly", NOON - age) for age in ages]
    found = observe_queue(queued, Watch(NOON, 300.0, 2 * HOUR, 0.0), in_progress=in_progress)
    assert [alert.severity for alert in found.alerts] == ([severity] if severity else [])
    assert found.succeeded == (frozenset() if severity else {"queue"})
    for alert in found.alerts:
        assert "of hourly has been in the queue for" in alert.title


def test_each_group_whose_run_waits_too_long_is_an_incident_that_names_the_reason() -> None:
    limit, since = timedelta(hours=3), datetime(2026, 6, 1, 6, tzinfo=timezone.utc)
    overdue = [OverdueRun("nightly", since, "hourly's run x is STARTED")]
    found = observe_overdue(overdue, ["hourly", "nightly"], limit)
    [alert] = found.alerts
    assert alert.title == "a run of nightly has been waiting for more than 3 h"
    assert alert.message == "Since 2026-06-01 06:00 UTC: hourly's run x is STARTED."
    # The same at every tick, so that it is one occurrence.
    assert alert.moment == (since + limit).timestamp()
    assert alert.groups == ("nightly",)
    assert found.succeeded == {"job:hourly:waiting"}
    assert set(alert.subjects) == {"job:nightly:waiting"}


# --- storage ----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        for name in found.get_required_daemon_types():
            found.add_daemon_heartbeat(DaemonHeartbeat(time.time(), name, "", []))
        yield found


def store(
    instance: dg.DagsterInstance,
    name: str,
    data: SensorInstigatorData | ScheduleInstigatorData | None,
    status: InstigatorStatus = InstigatorStatus.RUNNING,
) -> None:
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "__repository__"), name
    )
    kind = InstigatorType.SCHEDULE if isinstance(data, ScheduleInstigatorData) else InstigatorType.SENSOR
    instance.add_instigator_state(InstigatorState(origin, kind, status, data))


def test_instigators_are_read_with_their_last_evaluation(home: dg.DagsterInstance) -> None:
    store(
        home, "a", SensorInstigatorData(last_tick_timestamp=NOON, min_interval=15, last_tick_start_timestamp=NOON + 5)
    )
    store(home, "declared", SensorInstigatorData(last_tick_timestamp=NOON), InstigatorStatus.DECLARED_IN_CODE)
    store(home, "off", SensorInstigatorData(last_tick_timestamp=NOON), InstigatorStatus.STOPPED)
    store(home, "new", None)
    store(home, "hourly", ScheduleInstigatorData("0 * * * *", NOON, NOON + 60))
    assert {one.name: one for one in read_instigators(home)} == {
        "a": Instigator("shop", "sensor", "a", NOON + 5, 15.0),
        "declared": Instigator("shop", "sensor", "declared", NOON),
        "hourly": Instigator("shop", "schedule", "hourly", NOON + 60),
    }


def test_the_queue_is_read_with_the_oldest_run_first(home: dg.DagsterInstance) -> None:
    job = dg.GraphDefinition("job", node_defs=[]).to_job()
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "__repository__").get_job_origin("job")
    runs = [
        home.create_run_for_job(job, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin).run_id
        for _ in range(2)
    ]
    queued, in_progress = read_queue(home)
    assert [one.run_id for one in queued] == runs
    assert not in_progress
    home.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert read_queue(home)[1]


def test_a_silent_location_alerts_once_although_the_daemon_runs_and_recovers(
    home: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    settings = AlertScenario(home, fake_channels).all_settings
    store(home, "a", SensorInstigatorData(last_tick_timestamp=time.time() - 1_000, min_interval=30))
    for _ in range(2):
        stopped, lines = watch_daemon(settings, home, 300, lambda: "Here it fails with E: x")
        assert stopped
        assert "code location shop has no ticks for 16 min" in lines[0]
        assert "Here it fails with E: x" in lines[0]
    assert len(fake_channels.accepted("hook")) == 1
    [state] = home.all_instigator_state()
    home.update_instigator_state(
        state.with_data(SensorInstigatorData(last_tick_timestamp=time.time(), min_interval=30))
    )
    assert not watch_daemon(settings, home, 300)[0]
    assert "Recovered" in fake_channels.accepted("hook")[-1]["text"]


def test_the_incident_of_a_location_that_was_removed_disappears(
    home: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    settings = AlertScenario(home, fake_channels).all_settings
    store(home, "a", SensorInstigatorData(last_tick_timestamp=time.time() - 1_000, min_interval=30))
    assert watch_daemon(settings, home, 300)[0]
    home.wipe_all_schedules()
    assert not watch_daemon(settings, home, 300)[0]
    assert len(fake_channels.accepted("hook")) == 2


def test_a_silent_daemon_is_reported_alone(home: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    settings = AlertScenario(home, fake_channels).all_settings
    for name in home.get_required_daemon_types():
        home.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 1_000, name, "", []))
    store(home, "a", SensorInstigatorData(last_tick_timestamp=time.time() - 1_000, min_interval=30))
    stopped, lines = watch_daemon(settings, home, 300)
    assert stopped
    assert not [line for line in lines if "code location" in line]
