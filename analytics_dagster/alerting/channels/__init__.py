"""The channels that send notifications: Slack, PagerDuty and email."""

from __future__ import annotations

from collections.abc import Mapping

from analytics_dagster.alerting.channels.base import Notifier, answer_timeout
from analytics_dagster.alerting.channels.mail import Mail, MailServer
from analytics_dagster.alerting.channels.pagerduty import PagerDuty
from analytics_dagster.alerting.channels.slack import SlackBot, SlackWebhook
from analytics_dagster.alerting.routes import DEFAULT, ChannelConfig, Routes
from analytics_dagster.alerting.routes_file import find_by_name
from analytics_dagster.settings import Settings


def build_notifiers(settings: Settings, routes: Routes, source: str) -> Mapping[str, Notifier]:
    """Return the notifier of each channel by name; ``source`` is the `source` field of PagerDuty events."""
    return {name: _build(settings, channel, source) for name, channel in routes.channels.items()}


def _build(settings: Settings, channel: ChannelConfig, source: str) -> Notifier:
    timeout = settings.alert_timeout
    if channel.slack and settings.slack_token:
        name = (settings.slack_channel if channel.slack == DEFAULT else None) or channel.slack
        return SlackBot(settings.slack_token, name, settings.slack_api_url, timeout, channel.mention)
    if channel.slack_webhook:
        url = find_by_name(settings.slack_webhooks, channel.slack_webhook)
        return SlackWebhook(url, timeout, channel.mention)
    if channel.pagerduty:
        key = find_by_name(settings.pagerduty_keys, channel.pagerduty)
        return PagerDuty(key, settings.pagerduty_url, timeout, source)
    if channel.email and settings.smtp_url and settings.mail_from:
        server = MailServer(settings.smtp_url, settings.mail_from, answer_timeout(timeout))
        return Mail(server, channel.digest is not None)
    raise AssertionError(f"`load_routes` accepted a {channel.kind} channel without its settings")
