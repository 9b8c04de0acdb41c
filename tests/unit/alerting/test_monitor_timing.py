"""When messages are sent: quiet hours, maintenance windows, escalation and retries."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.runs import (
    schema as storage_schema,  # to change a stored run: unit tests have no code server
)
from dagster_shared.serdes import serialize_value

from analytics_dagster.automation.jobs import RETRIES_TAG
from analytics_dagster.automation.retry_decision import DECISION, DUE, NUMBER, PARENT, RETRIED_BY, ROOT
from tests.unit.alerting.alert_scenario import BINDER, LOST, ROUTES, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels
from tests.unit.automation.three_groups import ORIGIN

pytestmark = pytest.mark.slow

HOUR = 3_600.0


def quiet_routes() -> dict[str, object]:
    """Return routes that are quiet from an hour ago until an hour from now."""
    now = datetime.now(timezone.utc)
    hours = {"from": f"{now - timedelta(hours=1):%H:%M}", "to": f"{now + timedelta(hours=1):%H:%M}"}
    return {
        "time_zone": "UTC",
        "channels": {"hook": {"slack_webhook": "default", "quiet_hours": hours}},
        "rules": [{"name": "all", "to": "hook"}],
    }


def test_a_failure_in_quiet_hours_is_sent_when_they_end(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels, routes=quiet_routes())
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert not fake_channels.requests
    assert scenario.state.notifications[0].held == "quiet hours"
    scenario.tick(time.time() + HOUR + 60)
    [message] = fake_channels.accepted("hook")
    assert "model_1 failed" in message["text"]


def test_a_recovery_in_quiet_hours_is_one_message_when_they_end(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    scenario = AlertScenario(instance, fake_channels, routes=quiet_routes())
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.run()
    scenario.tick()
    assert not fake_channels.requests
    scenario.tick(time.time() + HOUR + 60)
    [message] = fake_channels.accepted("hook")
    assert "Recovered after" in message["text"]
    assert "model_1 failed" in message["text"]


@pytest.mark.parametrize("recovers", [True, False])
def test_a_failure_in_maintenance_is_sent_only_if_it_remains_at_the_end(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, *, recovers: bool
) -> None:
    now = datetime.now(timezone.utc)
    window = {"from": now - timedelta(hours=1), "to": now + timedelta(hours=1)}
    scenario = AlertScenario(instance, fake_channels, routes={**ROUTES, "maintenance": [window]})
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    if recovers:
        scenario.run()
        scenario.tick()
    assert not fake_channels.requests
    scenario.tick(time.time() + HOUR + 60)
    assert len(fake_channels.accepted("hook")) == (0 if recovers else 1)


def test_a_lasting_incident_escalates_once_to_more_channels(
    instance: dg.DagsterInstance, fake_channels: FakeChannels
) -> None:
    rules = [{"name": "all", "to": "slack", "escalate": {"after": "4h", "to": ["on_call", "hook"]}}]
    scenario = AlertScenario(instance, fake_channels, routes={**ROUTES, "rules": rules})
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    scenario.tick(time.time() + 3 * HOUR)
    assert len(fake_channels.requests) == 1
    for later in (4.01, 5, 9):
        scenario.tick(time.time() + later * HOUR)
    [first, reminder] = fake_channels.accepted("chat.postMessage")
    assert reminder["thread_ts"]
    assert reminder["reply_broadcast"] in {True, "1"}
    assert "Still failing after 4 h 00 min: model_1 failed" in reminder["text"]
    [trigger] = fake_channels.accepted("pager")
    assert trigger["event_action"] == "trigger"
    assert len(fake_channels.accepted("hook")) == 1
    assert "thread_ts" not in first
    scenario.run()
    # The run ends now, but the tick is ten hours later.
    scenario.store.write(replace(scenario.state, since=scenario.state.began))
    scenario.tick(time.time() + 10 * HOUR)
    assert fake_channels.accepted("pager")[-1]["event_action"] == "resolve"
    assert fake_channels.accepted("pager")[-1]["dedup_key"] == trigger["dedup_key"]
    assert "Recovered" in fake_channels.accepted("hook")[-1]["text"]


# --- retries ----------------------------------------------------------------------------------------------------


@pytest.fixture
def retried(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> AlertScenario:
    """Give a scenario after its first tick."""
    scenario = AlertScenario(instance, fake_channels)
    scenario.tick()
    return scenario


def failed_run(scenario: AlertScenario, **tags: str) -> str:
    """Run with a lost connection, and give the run the remote origin that retries require."""
    run_id = scenario.run_with({"model_1": LOST}, tags={RETRIES_TAG: "1", **tags})
    run = scenario.instance.get_run_by_id(run_id)
    assert run is not None
    storage: Any = scenario.instance.run_storage
    origin = ORIGIN.get_job_origin("nightly")
    with storage.connect() as connection:
        table = storage_schema.RunsTable
        body = serialize_value(run.with_job_origin(origin))
        connection.execute(table.update().where(table.c.run_id == run_id).values(run_body=body))
    return run_id


def decided(scenario: AlertScenario, run: str, due: float | None) -> None:
    """Tag a failed run as the retry sensor does."""
    tags = {DECISION: "retry 1 of 1 (connection)" if due else "not retried: it would fail again (SQL error)"}
    moment = {DUE: datetime.fromtimestamp(due, timezone.utc).isoformat()} if due else {}
    scenario.instance.add_run_tags(run, {**tags, **moment})


def test_a_run_whose_retry_succeeds_sends_nothing(retried: AlertScenario) -> None:
    first = failed_run(retried)
    retried.tick()
    decided(retried, first, time.time() + 60)
    retried.tick()
    retried.run_with({}, tags={PARENT: first, ROOT: first, NUMBER: "1", RETRIES_TAG: "1"})
    retried.tick()
    retried.tick(time.time() + HOUR)
    assert not retried.fake_channels.requests
    assert not retried.state.waiting


def test_a_run_whose_retry_succeeded_before_the_tick_sends_nothing(retried: AlertScenario) -> None:
    first = failed_run(retried)
    decided(retried, first, time.time())
    again = retried.run_with({}, tags={PARENT: first, ROOT: first, NUMBER: "1", RETRIES_TAG: "1"})
    retried.instance.add_run_tags(first, {RETRIED_BY: again})
    retried.tick()
    assert not retried.fake_channels.requests


def test_only_the_last_failed_retry_sends_one_message(retried: AlertScenario) -> None:
    first = failed_run(retried)
    decided(retried, first, time.time() + 60)
    retried.tick()
    assert not retried.fake_channels.requests
    failed_run(retried, **{PARENT: first, ROOT: first, NUMBER: "1"})
    retried.tick()
    retried.tick(time.time() + HOUR)
    [message] = retried.fake_channels.accepted("hook")
    assert "connection" in message["text"]


def test_a_run_that_is_not_retried_is_reported_once_that_is_decided(retried: AlertScenario) -> None:
    first = failed_run(retried)
    retried.tick()
    assert not retried.fake_channels.requests
    decided(retried, first, None)
    retried.tick()
    [message] = retried.fake_channels.accepted("hook")
    assert "*retry*: not retried: it would fail again" in message["text"]


@pytest.mark.parametrize("decides", [True, False])
def test_a_retry_that_never_starts_is_reported_after_its_deadline(retried: AlertScenario, *, decides: bool) -> None:
    first = failed_run(retried)
    if decides:
        decided(retried, first, time.time() + 60)
    retried.tick(time.time() + 200)
    assert not retried.fake_channels.requests
    retried.tick(time.time() + 1_000)
    assert len(retried.fake_channels.accepted("hook")) == 1
    retried.tick(time.time() + 2_000)
    assert len(retried.fake_channels.accepted("hook")) == 1
