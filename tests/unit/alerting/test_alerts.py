"""From a failed run to the messages: who is told, what, how often, and that nothing is lost; with real clients."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from tests.unit.alerting.exchange import Exchange
from tests.unit.alerting.town import BINDER, LOST, ROUTES, Town

pytestmark = pytest.mark.slow


def test_a_failed_model_is_one_message_that_says_what_why_what_was_skipped_and_where_to_click(town: Town) -> None:
    run = town.run(model_0=BINDER)
    town.look()
    [message] = town.exchange.accepted("chat.postMessage")
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


def test_it_is_told_once_updated_while_it_lasts_and_recovered_when_it_is_green(town: Town) -> None:
    town.run(model_1=BINDER)
    town.look()
    town.look()
    assert len(town.exchange.said) == 2, "Slack's bot and webhook once each; PagerDuty hears of what is critical alone"
    town.run(model_1=BINDER)
    town.look()
    [update] = town.exchange.accepted("chat.update")
    assert "model_1 failed: SQL error (2 times)" in update["text"]
    assert len(town.exchange.accepted("hook")) == 1
    town.run()
    town.look()
    [_, recovered] = town.exchange.accepted("chat.postMessage")
    assert ":large_green_circle: Recovered after" in recovered["text"]
    assert recovered["thread_ts"] == update["ts"]
    assert ":large_green_circle:" in town.exchange.accepted("chat.update")[-1]["text"], "the first message says so too"
    assert "Recovered" in town.exchange.accepted("hook")[-1]["text"]
    town.look()
    assert not town.state.incidents
    assert not town.state.threads
    before = len(town.exchange.said)
    town.run()
    town.look()
    assert len(town.exchange.said) == before


def test_the_same_model_failing_for_another_reason_is_another_incident(town: Town) -> None:
    town.run(model_1=BINDER)
    town.look()
    town.run(model_1="Runtime Error in model x (x.sql)\n  Parser Error: syntax error")
    town.look()
    assert len(town.exchange.accepted("hook")) == 2
    town.run()
    town.look()
    assert len(town.exchange.accepted("hook")) == 4, "both are over"


def test_a_hundred_models_that_fail_for_one_lost_connection_are_one_incident(
    instance: dg.DagsterInstance, exchange: Exchange
) -> None:
    town = Town(instance, exchange, models=100)
    town.look()
    town.run_with(dict.fromkeys(town.names, LOST))
    town.look()
    [message] = exchange.accepted("chat.postMessage")
    assert message["text"].startswith(":red_circle: nightly: connection")
    assert "*100 assets failed*\nmodel_0, model_1," in message["text"]
    town.run()
    town.look()
    assert len(exchange.accepted("chat.postMessage")) == 2
    assert not [incident for incident in town.state.incidents if incident.is_open]


def test_a_storm_of_two_hundred_failing_nodes_over_three_channels_is_one_message_a_channel(
    instance: dg.DagsterInstance, exchange: Exchange
) -> None:
    names = [f"model_{number}" for number in range(200)]
    town = Town(instance, exchange, models=200, tags={name: ["critical"] for name in names[:50]})
    town.look()
    town.run_with({name: f"Binder Error: no column {name}_x in {{0}}" for name in names})
    town.look()
    town.look()
    assert [len(exchange.accepted(channel)) for channel in ("chat.postMessage", "hook", "pager")] == [1, 1, 1]
    [message] = exchange.accepted("chat.postMessage")
    assert "200 incidents at once, first: model_0 failed" in message["text"]
    assert "and 192 more" in message["text"]
    [event] = exchange.accepted("pager")
    assert event["payload"]["summary"].startswith("50 incidents at once")
    # Half of them are mended but one, which is skipped: the message is brought up to date, and nobody is called again.
    town.run_with({name: f"Binder Error: no column {name}_x in {{0}}" for name in names[:100]})
    town.look()
    assert [len(exchange.accepted(one)) for one in ("chat.postMessage", "chat.update", "hook", "pager")] == [1, 1, 1, 1]
    assert "200 incidents at once, 99 over" in exchange.accepted("chat.update")[0]["text"]
    town.run()
    town.look()
    assert [len(exchange.accepted(one)) for one in ("chat.postMessage", "hook", "pager")] == [2, 2, 2]
    [trigger, resolve] = exchange.accepted("pager")
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert not town.state.letters


def test_up_to_as_many_incidents_as_a_channel_takes_have_a_thread_each(town: Town) -> None:
    town.run(model_0=BINDER, model_1=BINDER)
    town.look()
    assert len(town.exchange.accepted("chat.postMessage")) == 2
    town.run(model_0=BINDER)
    town.look()
    messages = town.exchange.accepted("chat.postMessage")
    assert "Recovered" in messages[-1]["text"]
    assert "model_1" in messages[-1]["text"]


def test_a_check_that_fails_in_a_run_that_succeeds_is_an_incident_with_its_rows(town: Town) -> None:
    town.world.broken = {"model_1": 17}
    town.run()
    town.look()
    [message] = town.exchange.accepted("hook")
    assert "check unique_model_1 on model_1 failed: 17 rows" in message["text"]
    town.world.broken = {}
    town.run()
    town.look()
    assert "Recovered" in town.exchange.accepted("hook")[-1]["text"]


def test_a_check_that_warns_alerts_nobody_unless_asked(instance: dg.DagsterInstance, exchange: Exchange) -> None:
    asked = {**ROUTES, "rules": [{"name": "all", "to": ["hook"], "when": {"severity": ["warn", "error"]}}]}
    for routes, expected in ((ROUTES, 0), (asked, 1)):
        with dg.DagsterInstance.ephemeral() as fresh:
            town = Town(fresh, exchange, routes=routes)
            town.look()
            town.world.warns = {"model_1": 3}
            town.run()
            town.look()
            assert len(exchange.accepted("hook")) == expected
    del instance


def test_only_what_is_critical_wakes_somebody(instance: dg.DagsterInstance, exchange: Exchange) -> None:
    town = Town(instance, exchange, tags={"model_1": ["critical"]})
    town.look()
    town.run(model_0=BINDER)
    town.look()
    assert not exchange.accepted("pager")
    town.run(model_0=BINDER, model_1=BINDER)
    town.look()
    [event] = exchange.accepted("pager")
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["summary"] == "model_1 failed: SQL error"


def test_what_had_failed_before_anybody_looked_is_no_news(instance: dg.DagsterInstance, exchange: Exchange) -> None:
    town = Town(instance, exchange)
    town.run(model_1=BINDER)
    town.look()
    town.look()
    assert not exchange.said


def test_secrets_are_not_told(town: Town) -> None:
    town.run(model_0="Database Error in model a (a.sql)\n  permission denied, password=topsecret1 hunter2")
    town.look()
    assert "permission denied" in str(town.exchange.said[0].body)
    assert "topsecret1" not in str(town.exchange.said[0].body)
    assert "hunter2" not in str(town.exchange.said[0].body)


# --- channels that are down -------------------------------------------------------------------------------------


def test_a_channel_that_fails_is_asked_again_later_and_keeps_no_other_from_being_told(town: Town) -> None:
    town.exchange.fail("slack", 500, times=1)
    town.run(model_1=BINDER)
    town.look()
    assert len(town.exchange.accepted("hook")) == 1
    assert not town.exchange.accepted("chat.postMessage")
    [letter] = town.state.letters
    assert letter.attempts == 1
    town.look()
    assert not town.exchange.accepted("chat.postMessage"), "it is left alone for a while"
    town.look(time.time() + 20)
    assert len(town.exchange.accepted("chat.postMessage")) == 1
    assert not town.state.letters
    assert len(town.exchange.accepted("hook")) == 1


@pytest.mark.parametrize(("where", "method"), [("slack", "chat.postMessage"), ("hook", "hook"), ("pager", "pager")])
def test_a_channel_that_asks_for_fewer_requests_is_asked_when_it_says(
    instance: dg.DagsterInstance, exchange: Exchange, where: str, method: str
) -> None:
    town = Town(instance, exchange, tags={"model_1": ["critical"]})
    town.look()
    exchange.fail(where, 429, headers={"Retry-After": "120"}, body='{"ok": false, "error": "ratelimited"}')
    now = time.time()
    town.run(model_1=BINDER)
    lines = town.look(now + 5)
    assert any("429" in line for line in lines)
    for later, expected in ((60, 0), (124, 0), (126, 1)):
        town.look(now + later)
        assert len(exchange.accepted(method)) == expected


@pytest.mark.parametrize(("where", "method"), [("slack", "chat.postMessage"), ("hook", "hook"), ("pager", "pager")])
def test_a_channel_that_stalls_is_given_up_after_its_timeout(
    instance: dg.DagsterInstance, exchange: Exchange, where: str, method: str
) -> None:
    town = Town(instance, exchange, tags={"model_1": ["critical"]})
    town.look()
    exchange.stall[where] = 3.0
    town.run(model_1=BINDER)
    started = time.monotonic()
    lines = town.look()
    assert time.monotonic() - started < 2.9
    assert [line for line in lines if "does not answer" in line]
    exchange.stall.clear()
    town.look(time.time() + 60)
    assert len(exchange.accepted(method)) >= 1
    assert not town.state.letters


def test_a_crash_between_two_letters_repeats_none_that_was_taken_and_loses_none(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    town.run(model_1=BINDER)
    lookout = town.lookout()
    posts = dict(lookout.delivery.posts)

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(type(posts["hook"]), "send", crash)
    with pytest.raises(Crash):
        lookout.look()
    assert len(town.exchange.accepted("chat.postMessage")) == 1
    monkeypatch.undo()
    town.look()
    assert len(town.exchange.accepted("chat.postMessage")) == 1
    assert len(town.exchange.accepted("hook")) == 1


def test_where_slack_refuses_blocks_the_plain_text_is_posted(town: Town) -> None:
    town.exchange.refuse_blocks = True
    town.run(model_1=BINDER)
    town.look()
    for method in ("chat.postMessage", "hook"):
        [message] = town.exchange.accepted(method)
        assert "blocks" not in message
        assert "Binder Error" in message["text"]


def test_what_breaks_off_before_a_channel_was_told_is_one_message_of_its_end(town: Town) -> None:
    town.exchange.fail("hook", 503)
    town.run(model_1=BINDER)
    town.look()
    town.run()
    town.look(time.time() + 20)
    [message] = town.exchange.accepted("hook")
    assert "Recovered after" in message["text"]
    assert "model_1 failed" in message["text"]


def test_what_begins_and_ends_between_two_looks_is_one_message_of_its_end_and_calls_nobody(
    instance: dg.DagsterInstance, exchange: Exchange
) -> None:
    town = Town(instance, exchange, tags={"model_1": ["critical"]})
    town.look()
    town.run(model_1=BINDER)
    town.run()
    town.look()
    for method in ("chat.postMessage", "hook"):
        [message] = exchange.accepted(method)
        assert "Recovered after" in message["text"]
        assert "model_1 failed: SQL error" in message["text"]
    town.look()
    assert len(exchange.accepted("hook")) == 1
    assert not exchange.accepted("pager")
    assert not town.state.incidents


def test_what_fails_twice_between_two_looks_and_lasts_is_one_message(town: Town) -> None:
    town.run(model_1=BINDER)
    town.run(model_1=BINDER)
    town.look()
    [message] = town.exchange.accepted("hook")
    assert "model_1 failed: SQL error (2 times)" in message["text"]


def test_a_message_with_a_text_of_any_length_is_within_slacks_limits(town: Town) -> None:
    town.run(model_1="Binder Error: <b> & ``` " + "x" * 50_000)
    town.look()
    assert len(town.exchange.accepted("chat.postMessage")) == 1
    assert "blocks" in town.exchange.accepted("chat.postMessage")[0]
