"""The order and the retries of deliveries."""

from __future__ import annotations

import json
import time

import dagster as dg
import pytest

from analytics_dagster.alerting.channels.base import DeliveryError, RejectedError, UncertainError
from analytics_dagster.alerting.channels.slack import SlackBot
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.dispatch import due, retry_delay
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import MessageThread, Notification
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels


def test_a_bug_in_one_channel_does_not_stop_the_others(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = scenario.monitor()

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(type(monitor.dispatcher.notifiers["slack"]), "send", broken)
    scenario.run(model_1=BINDER)
    monitor.tick()
    assert any("KeyError" in line for line in monitor.dispatcher.failed)
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
    failed, uncertain = DeliveryError("500"), UncertainError("no answer")
    assert [retry_delay(attempts, failed) for attempts in (0, 1, 2, 30)] == [15, 30, 60, 3_600]
    assert [retry_delay(attempts, uncertain) for attempts in (0, 1, 2, 3)] == [600, 1_200, 2_400, 3_600]
    assert retry_delay(0, DeliveryError("429", retry_after=120.0)) == 120
    assert retry_delay(5, DeliveryError("429", retry_after=0.0)) == 1


def test_a_slow_channel_receives_a_message_once(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = AlertScenario(instance, fake_channels)
    scenario.tick()
    fake_channels.stall = dict.fromkeys(("hook", "slack"), 2.0)  # twice the timeout
    scenario.run(model_1=BINDER)
    started = time.monotonic()
    scenario.tick()
    assert time.monotonic() - started < 3.9, "channels send at the same time"
    for later in (20, 60, 600, 3_700):
        scenario.tick(time.time() + later)
    assert [len(fake_channels.accepted(one)) for one in ("hook", "chat.postMessage")] == [1, 1]


def test_without_an_answer_a_message_is_repeated_at_most_twice(scenario: AlertScenario) -> None:
    scenario.settings = {"alert_timeout": 0.1}
    scenario.fake_channels.stall["hook"] = 0.6
    scenario.run(model_1=BINDER)
    for later in (0, 20, 60, 300, 700, 2_000, 5_000, 9_000, 90_000):
        scenario.tick(time.time() + later)
    time.sleep(0.7)
    titles = [one["text"].splitlines()[0] for one in scenario.fake_channels.accepted("hook")]
    assert titles.count(":red_circle: model_1 failed: SQL error") == 3
    assert "the channel hook does not deliver" in scenario.fake_channels.accepted("chat.postMessage")[-1]["text"]


def test_a_refused_message_blocks_no_other_and_is_reported_elsewhere(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 400, body="no_text", times=2)  # with blocks and without
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 1, "the second message is sent"
    scenario.fake_channels.fail("hook", 400, body="no_text", times=4)
    for later in (20, 60, 90):
        scenario.tick(time.time() + later)
    [letter] = scenario.state.undeliverable
    assert (letter.notification.attempts, letter.notification.error) == (3, "Slack answers 400 no_text")
    assert not scenario.state.notifications
    texts = [one["text"] for one in scenario.fake_channels.accepted("chat.postMessage")]
    [report] = [text for text in texts if "the channel hook does not deliver" in text]
    assert "Given up after 3 attempts: model_0 failed: SQL error\nSlack answers 400 no_text" in report
    assert not [one for one in scenario.fake_channels.accepted("hook") if "does not deliver" in one["text"]]
    scenario.run()
    for later in (120, 150):
        scenario.tick(time.time() + later)
    assert "Recovered after" in scenario.fake_channels.accepted("chat.postMessage")[-1]["text"]
    assert not [one for one in scenario.state.incidents if one.is_open], "the channel delivers again"


def test_a_channel_that_fails_repeatedly_is_reported_before_it_is_given_up(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 503, times=30)
    scenario.run(model_1=BINDER)
    moment = time.time()
    for _ in range(7):
        scenario.tick(moment)
        moment += 1_000
    texts = [one["text"] for one in scenario.fake_channels.accepted("chat.postMessage")]
    assert len([text for text in texts if "the channel hook does not deliver" in text]) == 1
    assert any("Not sent yet after 5 attempts" in text for text in texts)
    scenario.fake_channels.failures.clear()
    scenario.tick(moment + 5_000)
    assert "model_1 failed" in scenario.fake_channels.accepted("hook")[-1]["text"]
    scenario.tick(moment + 5_100)
    assert "Recovered" in scenario.fake_channels.accepted("chat.postMessage")[-1]["text"]


def test_a_dead_channel_is_given_up_after_twenty_attempts(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 503, times=100)
    scenario.run(model_1=BINDER)
    moment = time.time()
    while scenario.state.notifications or moment < time.time() + 10:
        scenario.tick(moment)
        moment += 3_700
    scenario.tick(moment)
    [letter] = scenario.state.undeliverable
    assert letter.notification.attempts == 20
    assert letter.is_reported


@pytest.mark.parametrize("code", ["thread_not_found", "restricted_action_thread_locked", "cannot_reply_to_message"])
def test_a_thread_that_slack_refuses_starts_again_as_a_new_message(scenario: AlertScenario, code: str) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    refusal = json.dumps({"ok": False, "error": code})
    scenario.run()
    scenario.fake_channels.fail("slack", 200, body=refusal, times=4)  # the edit and the reply
    scenario.tick()
    [_, recovered] = scenario.fake_channels.accepted("chat.postMessage")
    assert "Recovered" in recovered["text"]
    assert "thread_ts" not in recovered
    assert not scenario.state.notifications


@pytest.mark.parametrize(
    ("code", "is_rejection"),
    [("msg_too_long", True), ("no_text", True), ("invalid_auth", False), ("is_archived", False)],
)
def test_an_error_of_the_bot_is_one_of_the_message_or_of_the_channel(
    scenario: AlertScenario, code: str, *, is_rejection: bool
) -> None:
    [bot] = [one for one in scenario.monitor().dispatcher.notifiers.values() if isinstance(one, SlackBot)]
    scenario.fake_channels.fail("slack", 200, body=json.dumps({"ok": False, "error": code}), times=2)
    with pytest.raises(DeliveryError, match=f"Slack answers {code}") as raised:
        bot.send(notification("1", "x"), MessageThread("x", "slack", "", ()))
    assert isinstance(raised.value, RejectedError) is is_rejection
