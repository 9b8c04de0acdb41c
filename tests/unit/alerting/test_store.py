"""The state that the alerts keep between ticks."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.alerting.store import AlertStore, BusyError
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

STORED = Path(__file__).with_name("stored_state.json")


@pytest.fixture
def storage(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Give an instance that holds the state that version 0.1.0 wrote."""
    key = "analytics_dagster/shop/alerting/state"
    instance.daemon_cursor_storage.set_cursor_values({key: STORED.read_text(encoding="utf-8")})
    return instance


def test_the_state_of_an_earlier_version_is_read_and_written_with_the_same_keys(storage: dg.DagsterInstance) -> None:
    cursors = storage.daemon_cursor_storage
    state = AlertStore(cursors, "shop").read(0.0)
    assert state.began == 1_780_200_000
    assert state.incidents[0].alert.title == "marts/orders failed: SQL error"
    assert [one.channel for one in state.notifications] == ["slack", "mail"]
    AlertStore(cursors, "copy").write(state)
    key = "analytics_dagster/copy/alerting/state"
    written = cursors.get_cursor_values({key})[key]
    assert contains(json.loads(written), json.loads(STORED.read_text(encoding="utf-8")))


def contains(found: Any, expected: Any) -> bool:
    """Return whether every key and value of a JSON document is in another; lists are compared by position."""
    if isinstance(expected, dict):
        return all(key in found and contains(found[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(contains, found, expected))
    return bool(found == expected)


def test_an_unreadable_state_is_replaced_and_reported(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels)
    instance.daemon_cursor_storage.set_cursor_values(
        {"analytics_dagster/example/alerting/state": '{"since": "long ago"}'}
    )
    assert "hook: opened: A part of the stored alerts could not be read" in scenario.tick()
    assert scenario.state.began > 0
    key = "analytics_dagster/example/alerting/state/unreadable"
    assert instance.daemon_cursor_storage.get_cursor_values({key})[key] == '{"since": "long ago"}'
    assert scenario.tick() == []


def test_a_state_is_read_as_it_was_written(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 500)
    scenario.run(model_1=BINDER)
    scenario.tick()
    state = scenario.state
    assert state.incidents
    assert state.notifications
    other = AlertStore(scenario.instance.daemon_cursor_storage, "other")
    other.write(state)
    assert other.read(0.0) == state


def test_an_incident_of_an_earlier_version_goes_on_with_the_next_failure(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    state = scenario.state
    [incident] = state.incidents
    key = "asset:model_1:SQL error:0123456789ab"
    earlier = replace(incident, alert=replace(incident.alert, key=key), title="")
    scenario.store.write(replace(state, incidents=(earlier,)))
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 1
    [after] = scenario.state.incidents
    assert (after.id, after.times) == (incident.id, 2)


def test_one_unreadable_entry_is_left_out_and_reported(scenario: AlertScenario) -> None:
    scenario.fake_channels.fail("hook", 503, times=2)
    scenario.fake_channels.fail("slack", 503, times=2)
    scenario.run(model_0=BINDER, model_1=BINDER)
    scenario.tick()
    key = "analytics_dagster/example/alerting/state"
    cursors = scenario.instance.daemon_cursor_storage
    document = json.loads(cursors.get_cursor_values({key})[key])
    lost = document["letters"][1]
    lost["event"] = "of a later version"
    cursors.set_cursor_values({key: json.dumps(document)})
    scenario.tick(time.time() + 20)
    texts = [
        one["text"]
        for one in (*scenario.fake_channels.accepted("hook"), *scenario.fake_channels.accepted("chat.postMessage"))
    ]
    assert len([text for text in texts if "SQL error" in text]) == 3
    assert len([text for text in texts if "A part of the stored alerts could not be read" in text]) == 2
    [letter] = scenario.state.undeliverable
    assert letter.notification.error == "not readable: letters 1"


def test_only_one_process_sends_at_a_time(scenario: AlertScenario) -> None:
    store = scenario.store
    with store.lease("command"), pytest.raises(BusyError, match="Another process is sending alerts"), store.lease("x"):
        pass
    owner, ended = store.last_turn()
    assert owner == "command"
    assert time.time() - ended < 10
    with store.lease("x"):
        pass


def test_a_process_that_was_killed_while_it_sent_blocks_others_for_a_minute(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = scenario.store.lease("killed")
    killed.__enter__()
    with pytest.raises(BusyError), scenario.store.lease("x"):
        pass
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 71)
    with scenario.store.lease("x"):
        assert scenario.store.last_turn()[0] == "x"
