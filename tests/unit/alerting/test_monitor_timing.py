"""When people are told: not in quiet hours, nor of planned work; again when it lasts; not while a retry may heal it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.runs import schema as storage_schema  # where a run's body lies: no test has a code server
from dagster_shared.serdes import serialize_value

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import Severity
from analytics_dagster.alerting.outbox import Outbox
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState
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


def test_in_quiet_hours_it_is_told_when_they_end(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> None:
    scenario = AlertScenario(instance, fake_channels, routes=quiet_routes())
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    assert not fake_channels.requests
    assert scenario.state.notifications[0].held == "quiet hours"
    scenario.tick(time.time() + HOUR + 60)
    [message] = fake_channels.accepted("hook")
    assert "model_1 failed" in message["text"]


def test_what_is_over_before_quiet_hours_end_is_one_message_of_both(
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


@pytest.mark.parametrize("mended", [True, False])
def test_what_fails_in_a_maintenance_window_is_told_only_if_it_still_fails_at_its_end(
    instance: dg.DagsterInstance, fake_channels: FakeChannels, *, mended: bool
) -> None:
    now = datetime.now(timezone.utc)
    window = {"from": now - timedelta(hours=1), "to": now + timedelta(hours=1)}
    scenario = AlertScenario(instance, fake_channels, routes={**ROUTES, "maintenance": [window]})
    scenario.tick()
    scenario.run(model_1=BINDER)
    scenario.tick()
    if mended:
        scenario.run()
        scenario.tick()
    assert not fake_channels.requests
    scenario.tick(time.time() + HOUR + 60)
    assert len(fake_channels.accepted("hook")) == (0 if mended else 1)


def test_what_lasts_is_told_again_once_and_to_more_people(
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
    assert "Not over since 4 h 00 min: model_1 failed" in reminder["text"]
    [trigger] = fake_channels.accepted("pager")
    assert trigger["event_action"] == "trigger"
    assert len(fake_channels.accepted("hook")) == 1
    assert "thread_ts" not in first
    scenario.run()
    # The runs end now, and not ten hours later, when the alerts look.
    scenario.store.write(replace(scenario.state, since=scenario.state.began))
    scenario.tick(time.time() + 10 * HOUR)
    assert fake_channels.accepted("pager")[-1]["event_action"] == "resolve"
    assert fake_channels.accepted("pager")[-1]["dedup_key"] == trigger["dedup_key"]
    assert "Recovered" in fake_channels.accepted("hook")[-1]["text"]


def test_a_job_that_takes_much_longer_than_usual_is_in_the_digest_alone() -> None:
    channels = {"hook": {"slack_webhook": "default"}, "mail": {"email": "a@example.com", "digest": "07:30"}}
    routes = Routes.model_validate({"time_zone": "UTC", "channels": channels, "rules": []})
    noon = 1_780_315_200.0
    outbox = Outbox(AlertState(since=noon), routes, "prod", noon)
    [notification] = outbox.note(Content(None, Severity.WARN, "nightly took 2 h 00 min, usually 12 min")).notifications
    assert notification.channel == "mail"
    assert datetime.fromtimestamp(notification.not_before, timezone.utc).isoformat() == "2026-06-02T07:30:00+00:00"


# --- retries ----------------------------------------------------------------------------------------------------


@pytest.fixture
def retried(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> AlertScenario:
    """Give a town whose first look is over, in which a run has just failed for a lost connection."""
    scenario = AlertScenario(instance, fake_channels)
    scenario.tick()
    return scenario


def failed_run(scenario: AlertScenario, **tags: str) -> str:
    """Let a run fail for a lost connection that counts as one of a code server: only such runs are retried."""
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
    """Decide about a failed run as the sensor of retries does."""
    tags = {DECISION: "retry 1 of 1 (connection)" if due else "not retried: it would fail again (SQL error)"}
    moment = {DUE: datetime.fromtimestamp(due, timezone.utc).isoformat()} if due else {}
    scenario.instance.add_run_tags(run, {**tags, **moment})


def test_a_run_that_is_retried_alerts_nobody_and_its_success_neither(retried: AlertScenario) -> None:
    first = failed_run(retried)
    retried.tick()
    decided(retried, first, time.time() + 60)
    retried.tick()
    retried.run_with({}, tags={PARENT: first, ROOT: first, NUMBER: "1", RETRIES_TAG: "1"})
    retried.tick()
    retried.tick(time.time() + HOUR)
    assert not retried.fake_channels.requests
    assert not retried.state.waiting


def test_a_run_whose_retry_was_there_before_anybody_looked_alerts_nobody(retried: AlertScenario) -> None:
    first = failed_run(retried)
    decided(retried, first, time.time())
    again = retried.run_with({}, tags={PARENT: first, ROOT: first, NUMBER: "1", RETRIES_TAG: "1"})
    retried.instance.add_run_tags(first, {RETRIED_BY: again})
    retried.tick()
    assert not retried.fake_channels.requests


def test_only_the_last_retry_that_fails_alerts_and_once(retried: AlertScenario) -> None:
    first = failed_run(retried)
    decided(retried, first, time.time() + 60)
    retried.tick()
    assert not retried.fake_channels.requests
    failed_run(retried, **{PARENT: first, ROOT: first, NUMBER: "1"})
    retried.tick()
    retried.tick(time.time() + HOUR)
    [message] = retried.fake_channels.accepted("hook")
    assert "connection" in message["text"]


def test_a_run_that_is_not_retried_after_all_alerts_as_soon_as_that_is_decided(retried: AlertScenario) -> None:
    first = failed_run(retried)
    retried.tick()
    assert not retried.fake_channels.requests
    decided(retried, first, None)
    retried.tick()
    [message] = retried.fake_channels.accepted("hook")
    assert "*retry*: not retried: it would fail again" in message["text"]


@pytest.mark.parametrize("decides", [True, False])
def test_a_retry_that_never_comes_or_is_never_decided_on_alerts_all_the_same(
    retried: AlertScenario, *, decides: bool
) -> None:
    first = failed_run(retried)
    if decides:
        decided(retried, first, time.time() + 60)
    retried.tick(time.time() + 200)
    assert not retried.fake_channels.requests
    retried.tick(time.time() + 1_000)
    assert len(retried.fake_channels.accepted("hook")) == 1
    retried.tick(time.time() + 2_000)
    assert len(retried.fake_channels.accepted("hook")) == 1
