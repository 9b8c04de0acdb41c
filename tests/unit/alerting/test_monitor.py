"""From a failed run to the messages: who is told, what, how often, and that nothing is lost; with real clients."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from tests.unit.alerting.alert_scenario import BINDER, LOST, ROUTES, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

pytestmark = pytest.mark.slow


def test_a_failed_model_is_one_message_that_says_what_why_what_was_skipped_and_where_to_click(
    scenario: AlertScenario,
) -> None:
    run = scenario.run(model_0=BINDER)
    scenario.tick()
    [message] = scenario.fake_channels.accepted("chat.postMessage")
    text = message["text"]
    assert message["channel"] == "#data"
    assert text.startswith(":red_circle: model_0 failed: SQL error")
    for told in (
        'Binder Error: Referenced column "model_0_total" not found!',
        "1 asset skipped because of it*\nmodel_2",
        "*Stale*\nboard is stale.",
        "*owner*: ann@example.com",
        "*target*: prod",
        "*commit*: 0123456789ab",
        "*rule*: everything",
        f"<https://dagster.example.com/runs/{run}|Open the run>",
    ):
        assert told in text
    assert message["blocks"][0]["text"]["text"] == ":red_circle: model_0 failed: SQL error"
    assert [block["type"] for block in message["blocks"]][-1] == "actions"


def test_it_is_told_once_updated_while_it_lasts_and_recovered_when_it_is_green(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.tick()
    assert len(scenario.fake_channels.requests) == 2, (
        "Slack's bot and webhook once each; PagerDuty hears of what is critical alone"
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
        "the first message says so too"
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
    assert len(scenario.fake_channels.accepted("hook")) == 4, "both are over"


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


def test_a_storm_of_two_hundred_failing_nodes_over_three_channels_is_one_message_a_channel(
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
    assert "200 incidents at once, first: model_0 failed" in message["text"]
    assert "and 192 more" in message["text"]
    [event] = fake_channels.accepted("pager")
    assert event["payload"]["summary"].startswith("50 incidents at once")
    # Half of them are mended but one, which is skipped: the message is brought up to date, and nobody is called again.
    scenario.run_with({name: f"Binder Error: no column {name}_x in {{0}}" for name in names[:100]})
    scenario.tick()
    assert [len(fake_channels.accepted(one)) for one in ("chat.postMessage", "chat.update", "hook", "pager")] == [
        1,
        1,
        1,
        1,
    ]
    assert "200 incidents at once, 99 over" in fake_channels.accepted("chat.update")[0]["text"]
    scenario.run()
    scenario.tick()
    assert [len(fake_channels.accepted(one)) for one in ("chat.postMessage", "hook", "pager")] == [2, 2, 2]
    [trigger, resolve] = fake_channels.accepted("pager")
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert not scenario.state.notifications


def test_up_to_as_many_incidents_as_a_channel_takes_have_a_thread_each(scenario: AlertScenario) -> None:
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 2
    scenario.run(model_0=BINDER)
    scenario.tick()
    messages = scenario.fake_channels.accepted("chat.postMessage")
    assert "Recovered" in messages[-1]["text"]
    assert "model_1" in messages[-1]["text"]


def test_a_check_that_fails_in_a_run_that_succeeds_is_an_incident_with_its_rows(scenario: AlertScenario) -> None:
    scenario.next_run.broken = {"model_1": 17}
    scenario.run()
    scenario.tick()
    [message] = scenario.fake_channels.accepted("hook")
    assert "check unique_model_1 on model_1 failed: 17 rows" in message["text"]
    scenario.next_run.broken = {}
    scenario.run()
    scenario.tick()
    assert "Recovered" in scenario.fake_channels.accepted("hook")[-1]["text"]


def test_a_check_that_warns_alerts_nobody_unless_asked(
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


def test_only_what_is_critical_wakes_somebody(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
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


def test_what_had_failed_before_anybody_looked_is_no_news(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels)
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.tick()
    assert not fake_channels.requests


def test_secrets_are_not_told(scenario: AlertScenario) -> None:
    scenario.run(model_0="Database Error in model a (a.sql)\n  permission denied, password=topsecret1 hunter2")
    scenario.tick()
    assert "permission denied" in str(scenario.fake_channels.requests[0].body)
    assert "topsecret1" not in str(scenario.fake_channels.requests[0].body)
    assert "hunter2" not in str(scenario.fake_channels.requests[0].body)


# --- channels that are down -------------------------------------------------------------------------------------


def test_a_channel_that_fails_is_asked_again_later_and_keeps_no_other_from_being_told(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("slack", 500, times=1)
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 1
    assert not scenario.fake_channels.accepted("chat.postMessage")
    [notification] = scenario.state.notifications
    assert notification.attempts == 1
    scenario.tick()
    assert not scenario.fake_channels.accepted("chat.postMessage"), "it is left alone for a while"
    scenario.tick(time.time() + 20)
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    assert not scenario.state.notifications
    assert len(scenario.fake_channels.accepted("hook")) == 1


@pytest.mark.parametrize(("where", "method"), [("slack", "chat.postMessage"), ("hook", "hook"), ("pager", "pager")])
def test_a_channel_that_asks_for_fewer_requests_is_asked_when_it_says(
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
def test_a_channel_that_stalls_is_given_up_after_its_timeout(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, where: str, method: str
) -> None:
    scenario = AlertScenario(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.tick()
    fake_channels.stall[where] = 3.0
    scenario.run(model_1=BINDER)
    started = time.monotonic()
    lines = scenario.tick()
    assert time.monotonic() - started < 2.9
    assert [line for line in lines if "does not answer" in line]
    fake_channels.stall.clear()
    scenario.tick(time.time() + 60)
    assert len(fake_channels.accepted(method)) >= 1
    assert not scenario.state.notifications


def test_a_crash_between_two_letters_repeats_none_that_was_taken_and_loses_none(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    scenario.run(model_1=BINDER)
    monitor = scenario.monitor()
    notifiers = dict(monitor.delivery.notifiers)

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


def test_where_slack_refuses_blocks_the_plain_text_is_posted(scenario: AlertScenario) -> None:
    scenario.fake_channels.refuse_blocks = True
    scenario.run(model_1=BINDER)
    scenario.tick()
    for method in ("chat.postMessage", "hook"):
        [message] = scenario.fake_channels.accepted(method)
        assert "blocks" not in message
        assert "Binder Error" in message["text"]


def test_what_breaks_off_before_a_channel_was_told_is_one_message_of_its_end(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 503)
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.run()
    scenario.tick(time.time() + 20)
    [message] = scenario.fake_channels.accepted("hook")
    assert "Recovered after" in message["text"]
    assert "model_1 failed" in message["text"]


def test_what_begins_and_ends_between_two_looks_is_one_message_of_its_end_and_calls_nobody(
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


def test_what_fails_twice_between_two_looks_and_lasts_is_one_message(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.run(model_1=BINDER)
    scenario.tick()
    [message] = scenario.fake_channels.accepted("hook")
    assert "model_1 failed: SQL error (2 times)" in message["text"]


def test_a_message_with_a_text_of_any_length_is_within_slacks_limits(scenario: AlertScenario) -> None:
    scenario.run(model_1="Binder Error: <b> & ``` " + "x" * 50_000)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("chat.postMessage")) == 1
    assert "blocks" in scenario.fake_channels.accepted("chat.postMessage")[0]
