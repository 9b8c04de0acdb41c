"""Alerts about missing heartbeats of Dagster's daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat  # what the daemon writes

from analytics_dagster.alerting.incidents import Severity
from analytics_dagster.alerting.watch import observe_daemon, watch_daemon
from tests.unit.alerting.alert_scenario import AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

NOON = 1_780_315_200.0  # 2026-06-01 12:00 UTC


def test_a_silent_daemon_is_critical_and_its_silent_parts_are_named() -> None:
    required = ["SENSOR", "SCHEDULER"]
    assert not observe_daemon({"SENSOR": NOON, "SCHEDULER": NOON}, required, NOON + 299, 300).alerts
    [alert] = observe_daemon({"SENSOR": NOON, "SCHEDULER": NOON}, required, NOON + 301, 300).alerts
    assert alert.severity is Severity.CRITICAL
    assert alert.title == "Dagster's daemon has sent no heartbeat for 5 min"
    [part] = observe_daemon({"SENSOR": NOON, "SCHEDULER": NOON + 300}, required, NOON + 301, 300).alerts
    assert part.title.startswith("parts of")
    assert "No heartbeat from: SENSOR." in part.message
    [never] = observe_daemon({}, required, NOON, 300).alerts
    assert never.title == "Dagster's daemon has sent no heartbeat"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Give an instance that has a daemon to watch."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def beat(instance: dg.DagsterInstance, moment: float) -> None:
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(moment, name, "", []))


def test_a_silent_daemon_and_its_recovery_are_reported_once(
    home: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    settings = AlertScenario(home, fake_channels).all_settings
    beat(home, time.time())
    assert watch_daemon(settings, home, 300) == (
        False,
        ["Dagster's daemon sends heartbeats, its code locations have ticks, and its queue moves."],
    )
    beat(home, time.time() - 1_000)
    silent, lines = watch_daemon(settings, home, 300)
    assert silent
    assert lines[0].startswith("Dagster's daemon has sent no heartbeat for 16 min: No heartbeat from: ")
    watch_daemon(settings, home, 300)
    [event] = fake_channels.accepted("pager")
    assert event["payload"]["severity"] == "critical"
    assert len(fake_channels.accepted("hook")) == 1
    beat(home, time.time())
    assert not watch_daemon(settings, home, 300)[0]
    assert fake_channels.accepted("pager")[-1]["event_action"] == "resolve"
    assert "Recovered" in fake_channels.accepted("hook")[-1]["text"]
