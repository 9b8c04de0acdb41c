"""PagerDuty, by its Events API v2: triggers an incident, and resolves it by the same dedup key.

Source: https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import Notifier, Receipt, WebApi
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import Severity
from analytics_dagster.alerting.store import MessageThread, Notification
from analytics_dagster.redaction import shorten

LONGEST_SUMMARY = 1_024
_SEVERITIES = {Severity.WARN: "warning", Severity.ERROR: "error", Severity.CRITICAL: "critical"}


@dataclass(frozen=True)
class PagerDuty(Notifier):
    """Sends events with the integration key of a service; ``source`` is the event's `source` field."""

    key: SecretStr
    url: str
    timeout: float
    source: str

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Trigger or resolve an incident; sending the same event twice has no effect. Raises `DeliveryError`."""
        dedup_key = f"analytics_dagster/{thread.id}"
        key = self.key.get_secret_value()
        event = to_event(notification.content, dedup_key, self.source, resolve=notification.event.is_end)
        WebApi("PagerDuty", self.url, key, self.timeout).post({"routing_key": key, **event}, can_repeat=True)
        return Receipt(dedup_key)


def to_event(content: Content, dedup_key: str, source: str, *, resolve: bool) -> dict[str, Any]:
    """Return a message as an event, without the integration key. Pure."""
    details = dict(content.fields) | {one.title: one.text for one in content.sections}
    return {
        "event_action": "resolve" if resolve else "trigger",
        "dedup_key": dedup_key,
        "client": "Dagster",
        "links": [{"href": url, "text": label} for label, url in content.links],
        "payload": {
            "summary": shorten(content.headline, LONGEST_SUMMARY),
            "source": source,
            "severity": _SEVERITIES[content.severity],
            "custom_details": {name: shorten(value, 4_000) for name, value in details.items()},
        },
    }
