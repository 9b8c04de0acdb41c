"""PagerDuty, by its Events API v2: triggers an incident, and resolves it by the same dedup key.

Source: https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, rate_limited
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
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
        is_over = notification.event is IncidentEvent.RECOVERED
        self._post(to_event(notification.content, dedup_key, self.source, resolve=is_over))
        return Receipt(dedup_key)

    def _post(self, event: Mapping[str, Any]) -> None:
        import requests  # takes 100 ms

        body = {"routing_key": self.key.get_secret_value(), **event}
        try:
            # A redirect is not followed: it would send the integration key to another address.
            response = requests.post(self.url, json=body, timeout=self.timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise DeliveryError(f"PagerDuty does not answer: {type(error).__name__}") from error
        status = response.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise rate_limited("PagerDuty", response.headers.get("Retry-After"))
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            text = response.text.replace(self.key.get_secret_value(), "***")[:200]
            raise DeliveryError(f"PagerDuty answers {status} {text}", is_rejection=status == HTTPStatus.BAD_REQUEST)


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
