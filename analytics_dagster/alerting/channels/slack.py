"""Slack: a bot posts and edits a thread for each incident; an incoming webhook posts single messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, post_json, rate_limited
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
        post, event = client.chat_postMessage, notification.event
        if not thread.reference:
            answer = self._call(post, notification, channel=self.channel, unfurl_links=False)
            return Receipt(str(answer["ts"]), str(answer["channel"]))
        channel, ts = thread.channel_id, thread.reference
        if event in {IncidentEvent.UPDATED, IncidentEvent.RECOVERED}:
            # The message was deleted, or the workspace forbids edits: the reply in the thread has the same text.
            self._call(client.chat_update, notification, ignored=_NOT_EDITABLE, channel=channel, ts=ts)
        if event is not IncidentEvent.UPDATED:
            broadcast = event is IncidentEvent.ESCALATED
            self._call(post, notification, channel=channel, thread_ts=ts, reply_broadcast=broadcast)
        return Receipt()

    def _call(
        self, method: Callable[..., Any], notification: Notification, *, ignored: Sequence[str] = (), **arguments: Any
    ) -> Any:
        """Call Slack with blocks, or with plain text if Slack refuses the blocks; return None for an ignored error."""
        from slack_sdk.errors import SlackApiError, SlackClientError

        text, blocks = to_text(notification.content, self.mention), to_blocks(notification.content, self.mention)
        try:
            try:
                return method(text=text, blocks=blocks, **arguments)
            except SlackApiError as error:
                if error.response.get("error") not in _REFUSED_BLOCKS:
                    raise
                return method(text=text, **arguments)
        except SlackApiError as error:
            status, code = error.response.status_code, error.response.get("error")
            if code in ignored:
                return None
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                raise rate_limited("Slack", error.response.headers.get("Retry-After")) from error
            raise DeliveryError(f"Slack answers {code if status == HTTPStatus.OK else status}") from error
        except (SlackClientError, OSError) as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class SlackWebhook(Notifier):
    """Posts single messages: Slack returns no id for them, so they cannot be edited or answered in a thread."""

    url: SecretStr
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:  # noqa: ARG002 - no threads
        """Post a message. Raises `DeliveryError`."""
        url, body = self.url.get_secret_value(), {"text": to_text(notification.content, self.mention)}
        blocks = to_blocks(notification.content, self.mention)
        answer = post_json("Slack", url, {**body, "blocks": blocks}, self.timeout)
        if answer.text.strip() in _REFUSED_BLOCKS:
            answer = post_json("Slack", url, body, self.timeout)
        if answer.status_code != HTTPStatus.OK:
            raise DeliveryError(f"Slack answers {answer.status_code} {answer.text[:100]}")
        return Receipt()
