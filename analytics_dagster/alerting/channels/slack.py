"""Slack, by a bot's token (a thread an incident, whose first message is kept up to date) or by an incoming webhook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Receipt, seconds_of
from analytics_dagster.alerting.channels.slack_blocks import to_blocks, to_text
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    from slack_sdk import WebClient

_REFUSED_BLOCKS = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_attachments")
_NOT_EDITABLE = ("message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "thread_not_found")
_OK, _TOO_MANY = 200, 429


@dataclass(frozen=True)
class SlackBot:
    """Posts by `chat.postMessage` and edits by `chat.update`."""

    token: SecretStr
    channel: str
    api_url: str
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:
        """Post the first message of a thread, or what follows in it; raises `UndeliveredError`."""
        # What `dagster-slack` hands out, with the timeout and the address that its resource has no fields for.
        from slack_sdk import WebClient  # only where a message is sent

        client = WebClient(self.token.get_secret_value(), base_url=self.api_url, timeout=round(self.timeout) or 1)
        if thread is None or not thread.reference:
            said = self._say(client.chat_postMessage, notification, channel=self.channel, unfurl_links=False)
            return Receipt(str(said["ts"]), str(said["channel"]))
        receipt = Receipt(thread.reference, thread.place)
        if notification.event in {IncidentEvent.UPDATED, IncidentEvent.RECOVERED}:
            self._edit(client, notification, thread)
        if notification.event is not IncidentEvent.UPDATED:
            self._say(
                client.chat_postMessage,
                notification,
                channel=thread.place,
                thread_ts=thread.reference,
                reply_broadcast=notification.event is IncidentEvent.ESCALATED,
            )
        return receipt

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Post them one by one; only mail comes as a digest."""
        for notification in notifications:
            self.send(notification, None)

    def _edit(self, client: WebClient, notification: Notification, thread: MessageThread) -> None:
        try:
            self._say(client.chat_update, notification, channel=thread.place, ts=thread.reference)
        except _UneditableError:
            # Somebody has removed it, or the workspace forbids edits: what follows in the thread says the same.
            return

    def _say(self, call: Callable[..., Any], notification: Notification, **arguments: Any) -> Any:
        """Call Slack with blocks, and without them where it refuses these."""
        text = to_text(notification.content, self.mention)
        try:
            return _called(call, text=text, blocks=to_blocks(notification.content, self.mention), **arguments)
        except _RefusedBlocksError:
            return _called(call, text=text, **arguments)


class _RefusedBlocksError(Exception):
    pass


class _UneditableError(Exception):
    pass


def _called(call: Callable[..., Any], **arguments: Any) -> Any:
    from slack_sdk.errors import SlackApiError, SlackClientError  # only where a message is sent

    try:
        return call(**arguments)
    except SlackApiError as error:
        status = error.response.status_code
        said = str(error.response.get("error") or "") if status == _OK else str(status)
        if status == _TOO_MANY:
            after = seconds_of(_header(error.response.headers, "Retry-After"))
            raise DeliveryError("Slack asks for fewer messages (429)", retry_after=after) from error
        if said in _REFUSED_BLOCKS and "blocks" in arguments:
            raise _RefusedBlocksError from error
        if said in _NOT_EDITABLE:
            raise _UneditableError from error
        raise DeliveryError(f"Slack says {said}") from error
    except (SlackClientError, OSError) as error:
        raise DeliveryError(f"Slack does not answer: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class SlackWebhook:
    """Posts single messages: a webhook gives them no names, so that nothing can follow in a thread or be edited."""

    url: SecretStr
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:  # noqa: ARG002 - it knows no threads
        """Post a message; raises `UndeliveredError`."""
        from slack_sdk.webhook import WebhookClient  # only where a message is sent

        client = WebhookClient(self.url.get_secret_value(), timeout=round(self.timeout) or 1)
        text = to_text(notification.content, self.mention)
        try:
            answer = client.send(text=text, blocks=to_blocks(notification.content, self.mention))
            if answer.body.strip() in _REFUSED_BLOCKS:
                answer = client.send(text=text)
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from error
        if answer.status_code == _TOO_MANY:
            after = seconds_of(_header(answer.headers, "Retry-After"))
            raise DeliveryError("Slack asks for fewer messages (429)", retry_after=after)
        if answer.status_code != _OK:
            raise DeliveryError(f"Slack says {answer.status_code} {answer.body[:100]}")
        return Receipt()

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Post them one by one; only mail comes as a digest."""
        for notification in notifications:
            self.send(notification, None)


def _header(headers: Any, name: str) -> str | None:
    value = next((value for key, value in headers.items() if key.lower() == name.lower()), None)
    return str(value[0] if isinstance(value, list) else value) if value is not None else None
