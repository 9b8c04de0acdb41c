"""The queue of notifications."""

from __future__ import annotations

from datetime import datetime, timezone

from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.outbox import Outbox
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState


def test_a_slow_run_is_only_in_the_digest() -> None:
    channels = {"hook": {"slack_webhook": "default"}, "mail": {"email": "a@example.com", "digest": "07:30"}}
    routes = Routes.model_validate({"time_zone": "UTC", "channels": channels, "rules": []})
    noon = 1_780_315_200.0
    outbox = Outbox(AlertState(since=noon), routes, "prod", noon)
    outbox.announce(
        "mail", IncidentEvent.UPDATED, Content(None, Severity.WARN, "nightly took 2 h 00 min, usually 12 min")
    )
    [notification] = outbox.state.notifications
    assert notification.channel == "mail"
    assert datetime.fromtimestamp(notification.not_before, timezone.utc).isoformat() == "2026-06-02T07:30:00+00:00"
