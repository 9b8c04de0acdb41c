"""PagerDuty's events (version 2): an incident is triggered, and resolved by the same dedup key.

Source: https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Receipt, seconds_of
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import MessageThread, Notification
from analytics_dagster.redaction import shorten

LONGEST_SUMMARY = 1_024
_SEVERITIES = {Severity.WARN: "warning", Severity.ERROR: "error", Severity.CRITICAL: "critical"}
_BAD_REQUEST, _TOO_MANY = 400, 429


@dataclass(frozen=True)
class PagerDuty:
    """Sends events with the integration key of a service; ``source`` is what PagerDuty calls where they come from."""

    key: SecretStr
    url: str
    timeout: float
    source: str

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:
        """Trigger or resolve; raises `UndeliveredError`. A letter that is sent twice changes nothing."""
        dedup_key = f"analytics_dagster/{thread.id if thread else notification.id}"
        event = to_event(
            notification.content, dedup_key, self.source, resolve=notification.event is IncidentEvent.RECOVERED
        )
        self._send_one({"routing_key": self.key.get_secret_value(), **event})
        return Receipt(dedup_key)

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Send them one by one; only mail comes as a digest."""
        for notification in notifications:
            self.send(notification, None)

    def _send_one(self, data: Mapping[str, Any]) -> None:
        # Through the library that `dagster-pagerduty` calls, and not through that itself: the one has neither a
        # timeout, nor an address that can be set, nor does it tell for how long PagerDuty wants to be left alone.
        import pypd  # type: ignore[import-untyped]  # only where a message is sent
        import requests  # only where a message is sent

        timeout = self.timeout

        class _Event(pypd.EventV2):  # type: ignore[misc]
            base_url = self.url

            def _do_request(self, method: str, *args: Any, **kwargs: Any) -> Any:
                # The library asks for `…/enqueue/`, which is not the address that PagerDuty documents.
                return super()._do_request(method, args[0].rstrip("/"), **kwargs, timeout=timeout)

            def _handle_response(self, response: Any) -> Any:
                if response.status_code == _TOO_MANY:
                    after = seconds_of(response.headers.get("Retry-After"))
                    raise DeliveryError("PagerDuty asks for fewer events (429)", retry_after=after)
                if not response.ok:
                    said = f"PagerDuty says {response.status_code} {response.text[:200]}"
                    raise DeliveryError(said, is_rejection=response.status_code == _BAD_REQUEST)
                return super()._handle_response(response)

        try:
            _Event.create(data=dict(data))
        except (pypd.errors.Error, requests.RequestException, OSError) as error:
            raise DeliveryError(f"PagerDuty does not answer: {type(error).__name__}") from error


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
