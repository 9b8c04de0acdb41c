"""The daily summary, which also comes on quiet days, and messages about successful runs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState
from analytics_dagster.alerting.summary import read_summary
from analytics_dagster.planning.groups import ScheduleGroup
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

pytestmark = pytest.mark.slow

DAY = 86_400.0


def routes(**channel: Any) -> dict[str, Any]:
    channels = {"hook": {"slack_webhook": "default", **channel}, "slack": {"slack": "#data"}}
    return {"time_zone": "UTC", "channels": channels, "rules": [{"name": "all", "to": ["hook", "slack"]}]}


def started(instance: dg.DagsterInstance, channels: FakeChannels, **channel: Any) -> AlertScenario:
    scenario = AlertScenario(instance, channels, routes=routes(**channel))
    scenario.tick()
    return scenario


def soon() -> str:
    """Return the time of day in two minutes."""
    return f"{datetime.now(timezone.utc) + timedelta(minutes=2):%H:%M}"


def test_a_quiet_day_has_a_summary_once(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = started(instance, fake_channels, summary=soon())
    scenario.tick()
    assert not fake_channels.requests
    for later in (200, 230, 3_600):
        scenario.tick(time.time() + later)
    [message] = fake_channels.accepted("hook")
    assert message["text"].startswith(":bar_chart: Daily summary: 0 runs, nothing failed, 0 open incidents")
    assert not fake_channels.accepted("chat.postMessage"), "only the channel that has a summary"
    scenario.tick(time.time() + DAY + 200)
    assert len(fake_channels.accepted("hook")) == 2


def test_a_summary_counts_runs_failures_and_recoveries(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = started(instance, fake_channels, summary=soon())
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    scenario.run(model_0=BINDER)
    scenario.tick()
    scenario.tick(time.time() + 200)
    text = fake_channels.accepted("hook")[-1]["text"]
    for expected in (
        "Daily summary: 2 runs, 2 runs failed, 1 open incident",
        "*runs*: 2 failed",
        "*incidents*: 1 open, 1 ended",
        "*Failed*\n\u2022 nightly: 2 runs",
        "*Open incidents*\n\u2022 model_0 failed: SQL error (for ",
        "*Ended incidents*\n\u2022 recovered: model_1 failed: SQL error",
        "*Slowest*\n\u2022 nightly: ",
    ):
        assert expected in text
    scenario.tick(time.time() + DAY + 200)
    text = fake_channels.accepted("hook")[-1]["text"]
    assert "Daily summary: 0 runs, nothing failed, 1 open incident" in text, "only what happened since the last one"


def test_freshness_is_the_age_of_the_last_successful_run(scenario: AlertScenario) -> None:
    group = ScheduleGroup(name="nightly", select="*", cron="0 6 * * *", time_zone="UTC")
    never = ScheduleGroup(name="hourly", select="*", cron="0 * * * *", time_zone="UTC")
    scenario.run()
    scenario.run(model_0=BINDER)
    for days, late in ((0.001, ""), (3.0, ", late")):
        now = time.time() + days * DAY
        content = read_summary(scenario.instance, lambda _: True, [group, never], AlertState(0.0), 0.0, now)
        [freshness] = [one.text for one in content.sections if one.title == "Freshness"]
        nightly, hourly = freshness.splitlines()
        assert nightly.startswith("\u2022 nightly: last success ")
        assert nightly.endswith(f"ago{late}")
        assert hourly == "\u2022 hourly: no successful run yet"


def test_an_unsent_summary_is_replaced_by_the_next(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = started(instance, fake_channels, summary=soon())
    fake_channels.fail("hook", 503, times=1)
    scenario.tick(time.time() + 200)
    fake_channels.fail("hook", 503, times=1)
    scenario.tick(time.time() + DAY + 200)
    scenario.tick(time.time() + DAY + 300)
    assert len(fake_channels.accepted("hook")) == 1


@pytest.mark.parametrize(("successes", "expected"), [("nightly", 1), ("night*", 1), ("*", 1), ("hourly", 0), ((), 0)])
def test_a_successful_run_is_announced_to_channels_that_ask_for_it(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, successes: Any, expected: int
) -> None:
    scenario = started(instance, fake_channels, successes=successes)
    run = scenario.run()
    scenario.tick()
    scenario.tick()
    messages = [one["text"] for one in fake_channels.accepted("hook")]
    assert len(messages) == expected
    for text in messages:
        assert text.startswith(":large_green_circle: nightly succeeded in ")
        assert "3 assets built, 3 checks passed" in text
        assert f"/runs/{run}|" in text
    assert not fake_channels.accepted("chat.postMessage")


def test_a_run_with_a_failed_check_is_no_success(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = started(instance, fake_channels, successes="*")
    scenario.next_run.broken = {"model_1": 3}
    scenario.run()
    scenario.tick()
    [message] = fake_channels.accepted("hook")
    assert "check unique_model_1 on model_1 failed" in message["text"]


@pytest.mark.parametrize("channel", [{"pagerduty": "x"}, {"email": "owners"}])
@pytest.mark.parametrize("key", [{"summary": "08:00"}, {"successes": "*"}])
def test_a_summary_needs_a_channel_that_can_show_it(channel: dict[str, str], key: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`summary` and `successes` require Slack, or an email address"):
        Routes.model_validate({"channels": {"a": {**channel, **key}}, "rules": []})
