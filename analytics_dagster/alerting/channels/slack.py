"""Slack: a bot posts and edits a thread for each incident; an incoming webhook posts single messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, is_rejection, post_json
from analytics_dagster.alerting.channels.slack_blocks import to_blocks, to_text
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    from requests import Response

_REFUSED_BLOCKS = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_attachments")

_CHANNEL_ERRORS = re.compile(
    r"not_authed|invalid_auth|account_inactive|token_(expired|revoked)|no_permission|missing_scope|access_?(denied|limited)"
    r"|(org_login|two_factor_setup)_required|ekm_access_denied|enterprise_is_restricted|team_\w+"
    r"|channel_not_found|not_in_channel|is_archived|restricted_action(_read_only_channel)?"
    r"|rate_?limited|message_limit_exceeded|service_unavailable|(internal|fatal)_error|request_timeout"
)
"""The errors that concern every message; any other one concerns the message or its thread.

Source: https://docs.slack.dev/reference/methods/chat.postMessage
"""


@dataclass(frozen=True)
class SlackBot(Notifier):
    """Posts by `chat.postMessage` and edits by `chat.update`."""

    token: SecretStr
    channel: str
    api_url: str
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Post the first message of a thread, or edit it and reply to it. Raises `DeliveryError`.

        If Slack refuses the edit (the message was deleted, the workspace forbids it), the reply has the same text. If
        it refuses the reply (the thread was deleted or locked), the message starts a new thread.
        """
        event, content = notification.event, notification.content
        channel, ts = thread.channel_id, thread.reference
        try:
            if ts and (event is IncidentEvent.UPDATED or event.is_end):
                self._call("chat.update", content, channel=channel, ts=ts)
        except DeliveryError as error:
            if not error.is_rejection:
                raise
        if ts and event is IncidentEvent.UPDATED:
            return Receipt()
        try:
            if ts:
                broadcast = event is IncidentEvent.ESCALATED
                self._call("chat.postMessage", content, channel=channel, thread_ts=ts, reply_broadcast=broadcast)
                return Receipt()
        except DeliveryError as error:
            if not error.is_rejection:
                raise
        answer = self._call("chat.postMessage", content, channel=self.channel, unfurl_links=False)
        return Receipt(str(answer["ts"]), str(answer["channel"]))

    def _call(self, method: str, content: Content, **arguments: Any) -> Mapping[str, Any]:
        url, token = f"{self.api_url.rstrip('/')}/{method}", self.token.get_secret_value()
        is_edit = method == "chat.update"
        for blocks in ({"blocks": to_blocks(content, self.mention)}, {}):
            body = {"text": to_text(content, self.mention), **blocks, **arguments}
            response = post_json("Slack", url, body, self.timeout, token=token, can_repeat=is_edit)
            answer = _json(response)
            if answer.get("error") not in _REFUSED_BLOCKS:
                break
        if not answer.get("ok"):
            code = str(answer.get("error") or response.status_code)
            is_alone = response.status_code == HTTPStatus.OK and not _CHANNEL_ERRORS.fullmatch(code)
            raise DeliveryError(f"Slack answers {code}", is_rejection=is_alone)
        return answer


def _json(response: Response) -> Mapping[str, Any]:
    """Return Slack's answer; an empty one if something else answers."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


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
        status = answer.status_code
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise DeliveryError(f"Slack answers {status} {answer.text[:100]}", is_rejection=is_rejection(status))
        return Receipt()
