"""The state that the alerts keep between ticks."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.alerting.store import AlertStore

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
