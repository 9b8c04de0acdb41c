"""The state that the alerts keep between ticks."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.alerting.store import AlertStore
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
    assert json.loads(written) == json.loads(STORED.read_text(encoding="utf-8"))


def test_an_unreadable_state_is_replaced_by_a_new_one(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels)
    instance.daemon_cursor_storage.set_cursor_values(
        {"analytics_dagster/example/alerting/state": '{"since": "long ago"}'}
    )
    assert scenario.tick() == []
    assert scenario.state.began > 0


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
