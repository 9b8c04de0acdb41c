"""Slack: a bot posts and edits a thread for each incident; an incoming webhook posts single messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, RejectedError, WebApi
from analytics_dagster.alerting.channels.slack_blocks import to_blocks, to_text
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import MessageThread, Notification

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
        event, content, ts = notification.event, notification.content, thread.reference
        if ts and (event is IncidentEvent.UPDATED or event.is_end):
            with suppress(RejectedError):
                self._call("chat.update", content, channel=thread.channel_id, ts=ts)
        if ts and event is IncidentEvent.UPDATED:
            return Receipt()
        with suppress(RejectedError):
            if ts:
                reply = {"thread_ts": ts, "reply_broadcast": event is IncidentEvent.ESCALATED}
                self._call("chat.postMessage", content, channel=thread.channel_id, **reply)
                return Receipt()
        answer = self._call("chat.postMessage", content, channel=self.channel, unfurl_links=False)
        return Receipt(str(answer["ts"]), str(answer["channel"]))

    def _call(self, method: str, content: Content, **arguments: Any) -> Mapping[str, Any]:
        """Call Slack with blocks, or with plain text if it rejects them."""
        body = {"text": to_text(content, self.mention), **arguments}
        try:
            return self._post(method, {**body, "blocks": to_blocks(content, self.mention)})
        except RejectedError:
            return self._post(method, body)

    def _post(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        url, token = f"{self.api_url.rstrip('/')}/{method}", self.token.get_secret_value()
        headers, is_edit = {"Authorization": f"Bearer {token}"}, method == "chat.update"
        response = WebApi("Slack", url, token, self.timeout).post(body, headers, can_repeat=is_edit)
        try:
            answer: Mapping[str, Any] = response.json()
        except ValueError:
            raise DeliveryError(f"Slack answers {response.text[:100]}") from None
        if not answer.get("ok"):
            code = str(answer.get("error"))
            raise (DeliveryError if _CHANNEL_ERRORS.fullmatch(code) else RejectedError)(f"Slack answers {code}")
        return answer


@dataclass(frozen=True)
class SlackWebhook(Notifier):
    """Posts single messages: Slack returns no id for them, so they cannot be edited or answered in a thread."""

    url: SecretStr
    timeout: float
    mention: str = ""

    def send(self, notification: Notification, thread: MessageThread) -> Receipt:  # noqa: ARG002 - no threads
        """Post a message, as plain text if Slack rejects its blocks. Raises `DeliveryError`."""
        url, body = self.url.get_secret_value(), {"text": to_text(notification.content, self.mention)}
        slack = WebApi("Slack", url, url, self.timeout)
        try:
            slack.post({**body, "blocks": to_blocks(notification.content, self.mention)})
        except RejectedError:
            slack.post(body)
        return Receipt()
