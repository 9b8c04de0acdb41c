"""Who is told while an incident changes: members, owners and severity; renamed assets; closing; varying messages."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.alerting.incidents import Observation
from tests.unit.alerting.alert_scenario import BINDER, LOST, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

pytestmark = pytest.mark.slow

BY_OWNER: dict[str, Any] = {
    "channels": {
        "ann": {"slack_webhook": "default"},
        "finance": {"slack": "#finance"},
        "on_call": {"pagerduty": "default"},
    },
    "rules": [
        {"name": "page", "to": "on_call", "continue": True},
        {"name": "ann", "to": "ann", "when": {"owner": "ann@example.com"}, "continue": True},
        {"name": "finance", "to": "finance", "when": {"owner": "team:finance"}},
    ],
}


def started(instance: dg.DagsterInstance, channels: FakeChannels, **facts: Any) -> AlertScenario:
    scenario = AlertScenario(instance, channels, **facts)
    scenario.tick()
    return scenario


def test_a_critical_member_and_its_owner_are_told_when_they_join(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = started(instance, fake_channels, routes=BY_OWNER, tags={"model_1": ["critical"]})
    scenario.run(model_0=LOST)
    scenario.tick()
    assert [len(fake_channels.accepted(one)) for one in ("hook", "chat.postMessage", "pager")] == [1, 0, 0]
    scenario.run(model_0=LOST, model_1=LOST)
    scenario.tick()
    [page] = fake_channels.accepted("pager")
    assert page["payload"]["severity"] == "critical"
    [finance] = fake_channels.accepted("chat.postMessage")
    assert finance["channel"] == "#finance"
    assert "nightly: connection" in finance["text"]
    scenario.run(model_0=LOST, model_1=LOST)
    scenario.tick()
    assert len(fake_channels.accepted("pager")) == 1, "nobody is told twice"
    scenario.run()
    scenario.tick()
    assert fake_channels.accepted("pager")[-1]["event_action"] == "resolve"
    for method in ("hook", "chat.postMessage"):
        assert "Recovered" in fake_channels.accepted(method)[-1]["text"]


def test_a_channel_that_knew_hears_when_the_severity_rises(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = started(instance, fake_channels, tags={"model_1": ["critical"]})
    scenario.run(model_0=LOST)
    scenario.tick()
    scenario.run(model_1=LOST)
    scenario.tick()
    [_, second] = fake_channels.accepted("hook")
    assert second["text"].startswith(":rotating_light: Still failing after")


@pytest.mark.parametrize("dropped", ["asset", "check"])
def test_an_incident_of_something_renamed_ends_and_does_not_mute_the_next(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, dropped: str
) -> None:
    scenario = started(instance, fake_channels)
    scenario.next_run.broken = {"model_1": 3} if dropped == "check" else {}
    scenario.run(**({"model_1": LOST} if dropped == "asset" else {}))
    scenario.tick()
    scenario.next_run.broken = {}
    context = scenario.monitor().context
    remaining = frozenset({"asset:model_0", "asset:model_2", "job:nightly"})

    def tick() -> None:
        monitor = scenario.monitor()
        monitor.context = replace(context, subjects=lambda: remaining)
        monitor.tick()

    tick()
    text = fake_channels.accepted("hook")[-1]["text"]
    assert text.startswith(":white_circle: Closed, because what failed no longer exists, after")
    assert not [one for one in scenario.state.incidents if one.is_open]
    scenario.run(model_0=LOST)
    tick()
    assert "nightly: connection" in fake_channels.accepted("hook")[-1]["text"]


def test_what_the_location_still_defines_does_not_disappear(scenario: AlertScenario) -> None:
    from analytics_dagster.alerting.definitions import defined_subjects

    scenario.run(model_1=BINDER)
    scenario.tick()
    monitor = scenario.monitor()
    repository = scenario.definitions.get_repository_def()
    monitor.context = replace(monitor.context, subjects=lambda: defined_subjects(repository))
    monitor.tick()
    [incident] = scenario.state.incidents
    assert incident.is_open
    assert {"asset:model_1", "check:model_1:unique_model_1", "job:nightly"} <= defined_subjects(repository)


def test_an_incident_is_closed_by_hand_and_its_channels_are_told(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    state = scenario.state
    dispatcher = scenario.monitor().dispatcher
    closed = Observation(dispatcher.now, closed=frozenset({state.incidents[0].id}))
    dispatcher.apply(state, state, [closed])
    assert "Closed by hand after" in scenario.fake_channels.accepted("hook")[-1]["text"]
    assert not [one for one in scenario.state.incidents if one.is_open]
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 3, "the next failure is a new incident"


def test_a_day_of_failures_with_varying_values_is_one_incident(scenario: AlertScenario) -> None:
    for hour in range(24):
        scenario.run(model_1=f"Conversion Error: Could not convert string 'value {hour} x{hour}' to INT32\nLINE {hour}")
        scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 1
    scenario.run()
    scenario.tick()
    [opened, recovered] = scenario.fake_channels.accepted("hook")
    title = opened["text"].splitlines()[0].partition(" ")[2]
    assert recovered["text"].splitlines()[0].endswith(f": {title}"), "a reader can match the two"


def test_the_recovery_has_the_first_title_and_links_to_the_run_that_recovered(scenario: AlertScenario) -> None:
    failed = scenario.run(model_0=LOST)
    scenario.tick()
    scenario.next_run.broken = {}
    recovered = scenario.run()
    scenario.tick()
    [first, last] = scenario.fake_channels.accepted("hook")
    assert f"/runs/{failed}|" in first["text"]
    assert f"/runs/{recovered}|" in last["text"]
    assert failed not in last["text"]


def test_a_check_whose_number_of_rows_changes_keeps_its_title(scenario: AlertScenario) -> None:
    for rows in (17, 20):
        scenario.next_run.broken = {"model_1": rows}
        scenario.run()
        scenario.tick()
    scenario.next_run.broken = {}
    scenario.run()
    scenario.tick()
    [_, recovered] = scenario.fake_channels.accepted("hook")
    assert recovered["text"].splitlines()[0].endswith("check unique_model_1 on model_1 failed: 17 rows")


def test_one_run_that_cannot_be_read_is_reported_and_stops_no_other(
    scenario: AlertScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = scenario.run(model_0=BINDER)
    scenario.run(model_1=BINDER)
    all_logs = dg.DagsterInstance.all_logs

    def read(self: dg.DagsterInstance, run_id: str, *arguments: Any, **options: Any) -> Any:
        if run_id == broken:
            raise OSError("disk I/O error, password=hunter2hunter2")
        return all_logs(self, run_id, *arguments, **options)

    monkeypatch.setattr(dg.DagsterInstance, "all_logs", read)
    scenario.tick()
    texts = [message["text"] for message in scenario.fake_channels.accepted("hook")]
    assert any("model_1 failed: SQL error" in text for text in texts)
    [unreadable] = [text for text in texts if "a run of nightly could not be read" in text]
    assert "disk I/O error" in unreadable
    assert "hunter2" not in unreadable
    scenario.tick()
    assert len(scenario.fake_channels.accepted("hook")) == 2, "it is read once"
    monkeypatch.undo()
    scenario.run()
    scenario.tick()
    assert not [one for one in scenario.state.incidents if one.is_open]


@pytest.mark.parametrize("part", ["read_ticks", "read_summary"])
def test_an_error_in_one_part_of_a_tick_stops_no_other(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    routes = {
        "channels": {"hook": {"slack_webhook": "default", "summary": "08:00"}},
        "rules": [{"name": "a", "to": "hook"}],
    }
    scenario = started(instance, fake_channels, routes=routes)

    def fail(*_: object, **__: object) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(f"analytics_dagster.alerting.monitor.{part}", fail)
    scenario.run(model_1=BINDER)
    lines = scenario.tick(time.time() + 86_400)
    assert any("could not be read: KeyError" in line for line in lines)
    texts = [one["text"] for one in fake_channels.accepted("hook")]
    assert len([text for text in texts if "model_1 failed" in text]) == 1
