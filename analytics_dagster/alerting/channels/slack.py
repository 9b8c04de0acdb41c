"""Slack: a bot posts and edits a thread for each incident; an incoming webhook posts single messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, rate_limited
from analytics_dagster.alerting.channels.slack_blocks import to_blocks, to_text
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import MessageThread, Notification

_REFUSED_BLOCKS = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_attachments")
_NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "thread_not_found")


@dataclass(frozen=True)
class SlackBot(Notifier):
    """Posts by `chat.postMessage` and edits by `chat.update`."""

    token: SecretStr
    channel: str
    api_url: str
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Post the first message of a thread, or edit it and reply to it. Raises `DeliveryError`."""
        from analytics_dagster.alerting.channels.slack_resource import SlackApiResource  # takes 60 ms

        token = self.token.get_secret_value()
        client = SlackApiResource(token=token, api_url=self.api_url, timeout=self.timeout).get_client()
        if not thread.reference:
            answer = self._post(client.chat_postMessage, notification, channel=self.channel, unfurl_links=False)
            return Receipt(str(answer["ts"]), str(answer["channel"]))
        if notification.event in {IncidentEvent.UPDATED, IncidentEvent.RECOVERED}:
            self._edit(client.chat_update, notification, thread)
        if notification.event is not IncidentEvent.UPDATED:
            self._post(
                client.chat_postMessage,
                notification,
                channel=thread.channel_id,
                thread_ts=thread.reference,
                reply_broadcast=notification.event is IncidentEvent.ESCALATED,
            )
        return Receipt(thread.reference, thread.channel_id)

    def _edit(self, method: Callable[..., Any], notification: Notification, thread: MessageThread) -> None:
        try:
            self._post(method, notification, channel=thread.channel_id, ts=thread.reference)
        except _SlackError as error:
            # The message was deleted, or the workspace forbids edits: the reply in the thread has the same text.
            if error.code not in _NOT_EDITABLE:
                raise

    def _post(self, method: Callable[..., Any], notification: Notification, **arguments: Any) -> Any:
        """Call Slack with blocks, or with plain text if Slack refuses the blocks."""
        text = to_text(notification.content, self.mention)
        try:
            return _call(method, text=text, blocks=to_blocks(notification.content, self.mention), **arguments)
        except _SlackError as error:
            if error.code not in _REFUSED_BLOCKS:
                raise
        return _call(method, text=text, **arguments)


@dataclass(frozen=True)
class SlackWebhook(Notifier):
    """Posts single messages: Slack returns no id for them, so they cannot be edited or answered in a thread."""

    url: SecretStr
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:  # noqa: ARG002 - no threads
        """Post a message. Raises `DeliveryError`."""
        from slack_sdk.webhook import WebhookClient  # takes 60 ms

        client = WebhookClient(self.url.get_secret_value(), timeout=max(1, round(self.timeout)))
        text = to_text(notification.content, self.mention)
        try:
            answer = client.send(text=text, blocks=to_blocks(notification.content, self.mention))
            if answer.body.strip() in _REFUSED_BLOCKS:
                answer = client.send(text=text)
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from error
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise rate_limited("Slack", _retry_after(answer.headers))
        if answer.status_code != HTTPStatus.OK:
            raise DeliveryError(f"Slack answers {answer.status_code} {answer.body[:100]}")
        return Receipt()


class _SlackError(DeliveryError):
    """Slack refused a call; ``code`` is its error code, or the HTTP status."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack answers {code}")
        self.code = code


def _call(method: Callable[..., Any], **arguments: Any) -> Any:
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        return method(**arguments)
    except SlackApiError as error:
        status = error.response.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise rate_limited("Slack", _retry_after(error.response.headers)) from error
        raise _SlackError(str(error.response.get("error") or "") if status == HTTPStatus.OK else str(status)) from error
    except (SlackClientError, OSError) as error:
        raise DeliveryError(f"Slack does not answer: {type(error).__name__}: {error}") from error


def _retry_after(headers: Any) -> str | None:
    """Return the `Retry-After` header; the two clients of `slack_sdk` differ in the case of names and in lists."""
    value = next((value for key, value in headers.items() if key.lower() == "retry-after"), None)
    return str(value[0] if isinstance(value, list) else value) if value else None
