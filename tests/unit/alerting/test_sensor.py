"""The sensor of alerts: it never fails a tick over a channel, and says what it sent; and the order of deliveries."""

from __future__ import annotations

import dagster as dg
import pytest

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.delivery import delay, due
from analytics_dagster.alerting.incidents import Event, Severity
from analytics_dagster.alerting.sensor import SENSOR, build_alerts_sensor
from analytics_dagster.alerting.state import Letter, Memory
from tests.unit.alerting.exchange import Exchange
from tests.unit.alerting.town import BINDER, Town


def tick(town: Town) -> str:
    sensor = build_alerts_sensor(lambda *_: town.lookout(), dg.DefaultSensorStatus.STOPPED)
    definitions = dg.Definitions.merge(town.definitions, dg.Definitions(sensors=[sensor]))
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(instance=town.instance, repository_def=repository, sensor_name=SENSOR)
    return str(repository.get_sensor_def(SENSOR).evaluate_tick(context).skip_message)


def test_a_tick_says_what_was_sent_and_does_not_fail_over_a_channel(town: Town) -> None:
    assert tick(town) == "There is no news."
    town.exchange.fail("slack", 500)
    town.run(model_1=BINDER)
    said = tick(town)
    assert "hook: opened: model_1 failed: SQL error" in said
    assert "slack: Slack says 500; attempt 1 of: model_1 failed: SQL error" in said


def test_a_channel_whose_client_breaks_in_any_way_keeps_no_other_from_being_told(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookout = town.lookout()

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(type(lookout.delivery.posts["slack"]), "send", broken)
    town.run(model_1=BINDER)
    assert any("KeyError" in line for line in lookout.look())
    assert len(town.exchange.accepted("hook")) == 1


def test_what_is_kept_in_a_form_that_nobody_reads_is_begun_anew(
    instance: dg.DagsterInstance, exchange: Exchange
) -> None:
    town = Town(instance, exchange)
    instance.daemon_cursor_storage.set_cursor_values({"analytics_dagster/town/alerting/state": '{"since": "long ago"}'})
    assert town.look() == []
    assert town.state.began > 0


def test_what_is_kept_comes_back_as_it_was(town: Town) -> None:
    town.exchange.fail("hook", 500)
    town.run(model_1=BINDER)
    town.look()
    state = town.state
    assert state.incidents
    assert state.letters
    other = Memory(town.instance.daemon_cursor_storage, "other")
    other.write(state)
    assert other.read(0.0) == state


def letter(identity: str, thread: str, not_before: float = 0.0, channel: str = "a") -> Letter:
    content = Content(Event.OPENED, Severity.ERROR, identity)
    return Letter(identity, thread, channel, Event.OPENED, content, 0.0, not_before)


def test_nothing_of_a_thread_is_sent_before_what_comes_first_in_it() -> None:
    letters = [letter("1", "x", 10), letter("2", "y"), letter("3", "x"), letter("4", "z", channel="b")]
    assert [one.id for one in due(letters, "a", 5)] == ["2"]
    assert [one.id for one in due(letters, "a", 10)] == ["1", "2", "3"]


def test_a_channel_is_asked_ever_more_rarely_or_when_it_says() -> None:
    assert [delay(attempts, None) for attempts in (0, 1, 2, 30)] == [15, 30, 60, 3_600]
    assert delay(0, 120.0) == 120
    assert delay(5, 0.0) == 1
