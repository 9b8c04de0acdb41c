"""From a failed run to its messages, through the real clients of the channels."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from tests.unit.alerting.alert_scenario import BINDER, LOST, ROUTES, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

pytestmark = pytest.mark.slow


def test_a_failed_model_is_one_message_with_error_skipped_assets_and_link(
    scenario: AlertScenario,
) -> None:
    run = scenario.run(model_0=BINDER)
    scenario.tick()
    [message] = scenario.fake_channels.accepted("chat.postMessage")
    text = message["text"]
    assert message["channel"] == "#data"
    assert text.startswith(":red_circle: model_0 failed: SQL error")
    for expected in (
        'Binder Error: Referenced column "model_0_total" not found!',
        "1 asset skipped*\nmodel_2",
        "*Stale*\nboard is stale.",
        "*owner*: ann@example.com",
        "*target*: prod",
        "*commit*: 0123456789ab",
        "*rule*: everything",
        f"<https://dagster.example.com/runs/{run}|Open the run>",
    ):
        assert expected in text
    assert message["blocks"][0]["text"]["text"] == ":red_circle: model_0 failed: SQL error"
    assert [block["type"] for block in message["blocks"]][-1] == "actions"


def test_an_incident_is_sent_once_updated_while_open_and_closed_on_success(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.tick()
    assert len(scenario.fake_channels.requests) == 2, (
        "Slack's bot and webhook once each; PagerDuty receives critical incidents only"
    )
    scenario.run(model_1=BINDER)
    scenario.tick()
    [update] = scenario.fake_channels.accepted("chat.update")
    assert "model_1 failed: SQL error (2 times)" in update["text"]
    assert len(scenario.fake_channels.accepted("hook")) == 1
    scenario.run()
    scenario.tick()
    [_, recovered] = scenario.fake_channels.accepted("chat.postMessage")
    assert ":large_green_circle: Recovered after" in recovered["text"]
    assert recovered["thread_ts"] == update["ts"]
    assert ":large_green_circle:" in scenario.fake_channels.accepted("chat.update")[-1]["text"], (
        "the first message is updated"
    )
    assert "Recovered" in scenario.fake_channels.accepted("hook")[-1]["text"]
    scenario.tick()
    assert not scenario.state.incidents
    assert not scenario.state.threads
    before = len(scenario.fake_channels.requests)
    scenario.run()
    scenario.tick()
    assert len(scenario.fake_channels.requests) == before


def test_the_same_model_failing_for_another_reason_is_another_incident(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.run(model_1="Runtime Error in model x (x.sql)\n  Parser Error: syntax error")
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 2
    scenario.run()
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 4, "both recovered"


def test_a_hundred_models_that_fail_for_one_lost_connection_are_one_incident(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels, models=100)
    scenario.tick()
    scenario.run_with(dict.fromkeys(scenario.names, LOST))
    scenario.tick()
    [message] = fake_channels.accepted("chat.postMessage")
    assert message["text"].startswith(":red_circle: nightly: connection")
    assert "*100 assets failed*\nmodel_0, model_1," in message["text"]
    scenario.run()
    scenario.tick()
    assert len(fake_channels.accepted("chat.postMessage")) == 2
    assert not [incident for incident in scenario.state.incidents if incident.is_open]


def test_two_hundred_failures_at_once_are_one_message_per_channel(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    names = [f"model_{number}" for number in range(200)]
    scenario = AlertScenario(instance, fake_channels, models=200, tags={name: ["critical"] for name in names[:50]})
    scenario.tick()
    scenario.run_with({name: f"Binder Error: no column {name}_x in {{0}}" for name in names})
    scenario.tick()
    scenario.tick()
    assert [len(fake_channels.accepted(channel)) for channel in ("chat.postMessage", "hook", "pager")] == [1, 1, 1]
    [message] = fake_channels.accepted("chat.postMessage")
    assert "200 incidents, first: model_0 failed" in message["text"]
    assert "and 192 more" in message["text"]
    [event] = fake_channels.accepted("pager")
    assert event["payload"]["summary"].startswith("50 incidents, first:")
    # 100 nodes succeed, except one that is skipped: the message is updated, and PagerDuty receives nothing.
    scenario.run_with({name: f"Binder Error: no column {name}_x in {{0}}" for name in names[:100]})
    scenario.tick()
    assert [len(fake_channels.accepted(one)) for one in ("chat.postMessage", "chat.update", "hook", "pager")] == [
        1,
        1,
        1,
        1,
    ]
    assert "200 incidents, 99 recovered" in fake_channels.accepted("chat.update")[0]["text"]
    scenario.run()
    scenario.tick()
    assert [len(fake_channels.accepted(one)) for one in ("chat.postMessage", "hook", "pager")] == [2, 2, 2]
    [trigger, resolve] = fake_channels.accepted("pager")
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert not scenario.state.notifications


def test_incidents_up_to_bundle_above_have_a_thread_each(scenario: AlertScenario) -> None:
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 2
    scenario.run(model_0=BINDER)
    scenario.tick()
    messages = scenario.fake_channels.accepted("chat.postMessage")
    assert "Recovered" in messages[-1]["text"]
    assert "model_1" in messages[-1]["text"]


def test_a_failed_check_in_a_successful_run_is_an_incident_with_its_row_count(scenario: AlertScenario) -> None:
    scenario.next_run.broken = {"model_1": 17}
    scenario.run()
    scenario.tick()
    [message] = scenario.fake_channels.accepted("hook")
    assert "check unique_model_1 on model_1 failed: 17 rows" in message["text"]
    scenario.next_run.broken = {}
    scenario.run()
    scenario.tick()
    assert "Recovered" in scenario.fake_channels.accepted("hook")[-1]["text"]


def test_a_warning_check_is_sent_only_if_a_rule_names_its_severity(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    asked = {**ROUTES, "rules": [{"name": "all", "to": ["hook"], "when": {"severity": ["warn", "error"]}}]}
    for routes, expected in ((ROUTES, 0), (asked, 1)):
        with dg.DagsterInstance.ephemeral() as fresh:
            scenario = AlertScenario(fresh, fake_channels, routes=routes)
            scenario.tick()
            scenario.next_run.warns = {"model_1": 3}
            scenario.run()
            scenario.tick()
            assert len(fake_channels.accepted("hook")) == expected
    del instance


def test_pagerduty_receives_only_critical_incidents(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = AlertScenario(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.tick()
    scenario.run(model_0=BINDER)
    scenario.tick()
    assert not fake_channels.accepted("pager")
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    [event] = fake_channels.accepted("pager")
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["summary"] == "model_1 failed: SQL error"


def test_failures_before_the_first_tick_are_not_reported(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels)
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.tick()
    assert not fake_channels.requests


def test_messages_contain_no_secrets(scenario: AlertScenario) -> None:
    scenario.run(model_0="Database Error in model a (a.sql)\n  permission denied, password=topsecret1 hunter2")
    scenario.tick()
    assert "permission denied" in str(scenario.fake_channels.requests[0].body)
    assert "topsecret1" not in str(scenario.fake_channels.requests[0].body)
    assert "hunter2" not in str(scenario.fake_channels.requests[0].body)


# --- channels that are down -------------------------------------------------------------------------------------


def test_a_failing_channel_is_retried_later_and_does_not_block_others(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("slack", 500, times=1)
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 1
    assert not scenario.fake_channels.accepted("chat.postMessage")
    [notification] = scenario.state.notifications
    assert notification.attempts == 1
    scenario.tick()
    assert not scenario.fake_channels.accepted("chat.postMessage"), "not before the retry delay"
    scenario.tick(time.time() + 20)
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    assert not scenario.state.notifications
    assert len(scenario.fake_channels.accepted("hook")) == 1


@pytest.mark.parametrize(("where", "method"), [("slack", "chat.postMessage"), ("hook", "hook"), ("pager", "pager")])
def test_a_rate_limited_channel_is_retried_after_its_retry_after(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, where: str, method: str
) -> None:
    scenario = AlertScenario(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.tick()
    fake_channels.fail(where, 429, headers={"Retry-After": "120"}, body='{"ok": false, "error": "ratelimited"}')
    now = time.time()
    scenario.run(model_1=BINDER)
    lines = scenario.tick(now + 5)
    assert any("429" in line for line in lines)
    for later, expected in ((60, 0), (124, 0), (126, 1)):
        scenario.tick(now + later)
        assert len(fake_channels.accepted(method)) == expected


@pytest.mark.parametrize(("where", "method"), [("slack", "chat.postMessage"), ("hook", "hook"), ("pager", "pager")])
def test_a_stalled_channel_times_out_and_is_retried(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, where: str, method: str
) -> None:
    scenario = AlertScenario(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.tick()
    fake_channels.stall[where] = 4.5  # longer than three times the timeout
    scenario.run(model_1=BINDER)
    started = time.monotonic()
    lines = scenario.tick()
    assert time.monotonic() - started < 4.4
    assert [line for line in lines if "does not answer" in line]
    fake_channels.stall.clear()
    scenario.tick(time.time() + 700)
    assert len(fake_channels.accepted(method)) >= 1
    assert not scenario.state.notifications


def test_a_crash_between_two_notifications_repeats_and_loses_none(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    scenario.run(model_1=BINDER)
    monitor = scenario.monitor()
    notifiers = dict(monitor.dispatcher.notifiers)

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(type(notifiers["hook"]), "send", crash)
    with pytest.raises(Crash):
        monitor.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    monkeypatch.undo()
    scenario.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    assert len(scenario.fake_channels.accepted("hook")) == 1


def test_plain_text_is_posted_if_slack_refuses_the_blocks(scenario: AlertScenario) -> None:
    scenario.fake_channels.refuse_blocks = True
    scenario.run(model_1=BINDER)
    scenario.tick()
    for method in ("chat.postMessage", "hook"):
        [message] = scenario.fake_channels.accepted(method)
        assert "blocks" not in message
        assert "Binder Error" in message["text"]


def test_an_incident_that_recovers_before_delivery_is_one_recovery_message(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 503)
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.run()
    scenario.tick(time.time() + 20)
    [message] = scenario.fake_channels.accepted("hook")
    assert "Recovered after" in message["text"]
    assert "model_1 failed" in message["text"]


def test_an_incident_between_two_ticks_is_one_recovery_message_without_a_page(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.run()
    scenario.tick()
    for method in ("chat.postMessage", "hook"):
        [message] = fake_channels.accepted(method)
        assert "Recovered after" in message["text"]
        assert "model_1 failed: SQL error" in message["text"]
    scenario.tick()
    assert len(fake_channels.accepted("hook")) == 1
    assert not fake_channels.accepted("pager")
    assert not scenario.state.incidents


def test_two_failures_between_two_ticks_are_one_message(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.run(model_1=BINDER)
    scenario.tick()
    [message] = scenario.fake_channels.accepted("hook")
    assert "model_1 failed: SQL error (2 times)" in message["text"]


def test_a_message_of_any_length_is_within_slack_limits(scenario: AlertScenario) -> None:
    scenario.run(model_1="Binder Error: <b> & ``` " + "x" * 50_000)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    assert "blocks" in scenario.fake_channels.accepted("chat.postMessage")[0]
