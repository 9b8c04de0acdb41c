"""The order and the retries of deliveries."""

from __future__ import annotations

import pytest

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.delivery import due, retry_delay
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import Notification
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario


def test_a_bug_in_one_channel_does_not_stop_the_others(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = scenario.monitor()

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(type(monitor.delivery.notifiers["slack"]), "send", broken)
    scenario.run(model_1=BINDER)
    assert any("KeyError" in line for line in monitor.tick())
    assert len(scenario.fake_channels.accepted("hook")) == 1


def notification(identity: str, thread: str, not_before: float = 0.0, channel: str = "a") -> Notification:
    content = Content(IncidentEvent.OPENED, Severity.ERROR, identity)
    return Notification(identity, thread, channel, IncidentEvent.OPENED, content, 0.0, not_before)


def test_notifications_of_a_thread_keep_their_order() -> None:
    notifications = [
        notification("1", "x", 10),
        notification("2", "y"),
        notification("3", "x"),
        notification("4", "z", channel="b"),
    ]
    assert [one.id for one in due(notifications, "a", 5)] == ["2"]
    assert [one.id for one in due(notifications, "a", 10)] == ["1", "2", "3"]


def test_retry_delays_double_unless_the_channel_names_one() -> None:
    assert [retry_delay(attempts, None) for attempts in (0, 1, 2, 30)] == [15, 30, 60, 3_600]
    assert retry_delay(0, 120.0) == 120
    assert retry_delay(5, 0.0) == 1
