"""The sensor of alerts: it never fails a tick over a channel, and says what it sent; and the order of deliveries."""

from __future__ import annotations

import dagster as dg
import pytest

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.definitions import SENSOR, build_alerts_sensor
from analytics_dagster.alerting.delivery import delay, due
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import AlertStore, Notification
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels


def tick(scenario: AlertScenario) -> str:
    sensor = build_alerts_sensor(lambda *_: scenario.monitor(), dg.DefaultSensorStatus.STOPPED)
    definitions = dg.Definitions.merge(scenario.definitions, dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(instance=scenario.instance, repository_def=repository, sensor_name=SENSOR)
    return str(repository.get_sensor_def(SENSOR).evaluate_tick(context).skip_message)


def test_a_tick_says_what_was_sent_and_does_not_fail_over_a_channel(scenario: AlertScenario) -> None:
    assert tick(scenario) == "There is no news."
    scenario.fake_channels.fail("slack", 500)
    scenario.run(model_1=BINDER)
    requests = tick(scenario)
    assert "hook: opened: model_1 failed: SQL error" in requests
    assert "slack: Slack says 500; attempt 1 of: model_1 failed: SQL error" in requests


def test_a_channel_whose_client_breaks_in_any_way_keeps_no_other_from_being_told(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = scenario.monitor()

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(type(monitor.delivery.notifiers["slack"]), "send", broken)
    scenario.run(model_1=BINDER)
    assert any("KeyError" in line for line in monitor.tick())
    assert len(scenario.fake_channels.accepted("hook")) == 1


def test_what_is_kept_in_a_form_that_nobody_reads_is_begun_anew(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels)
    instance.daemon_cursor_storage.set_cursor_values({"analytics_dagster/town/alerting/state": '{"since": "long ago"}'})
    assert scenario.tick() == []
    assert scenario.state.began > 0


def test_what_is_kept_comes_back_as_it_was(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 500)
    scenario.run(model_1=BINDER)
    scenario.tick()
    state = scenario.state
    assert state.incidents
    assert state.notifications
    other = AlertStore(scenario.instance.daemon_cursor_storage, "other")
    other.write(state)
    assert other.read(0.0) == state


def notification(identity: str, thread: str, not_before: float = 0.0, channel: str = "a") -> Notification:
    content = Content(IncidentEvent.OPENED, Severity.ERROR, identity)
    return Notification(identity, thread, channel, IncidentEvent.OPENED, content, 0.0, not_before)


def test_nothing_of_a_thread_is_sent_before_what_comes_first_in_it() -> None:
    notifications = [
        notification("1", "x", 10),
        notification("2", "y"),
        notification("3", "x"),
        notification("4", "z", channel="b"),
    ]
    assert [one.id for one in due(notifications, "a", 5)] == ["2"]
    assert [one.id for one in due(notifications, "a", 10)] == ["1", "2", "3"]


def test_a_channel_is_asked_ever_more_rarely_or_when_it_says() -> None:
    assert [delay(attempts, None) for attempts in (0, 1, 2, 30)] == [15, 30, 60, 3_600]
    assert delay(0, 120.0) == 120
    assert delay(5, 0.0) == 1
