"""The ways to people: Slack, PagerDuty, mail; each takes letters, and says when it could not."""

from __future__ import annotations

from collections.abc import Mapping

from analytics_dagster.alerting.channels.base import Notifier
from analytics_dagster.alerting.channels.mail import Mail, MailServer
from analytics_dagster.alerting.channels.pagerduty import PagerDuty
from analytics_dagster.alerting.channels.slack import SlackBot, SlackWebhook
from analytics_dagster.alerting.routes import DEFAULT, ChannelConfig, Routes
from analytics_dagster.alerting.routes_file import named
from analytics_dagster.settings import Settings


def build_notifiers(settings: Settings, routes: Routes, source: str) -> Mapping[str, Notifier]:
    """Return what takes the letters of each channel; ``source`` is what PagerDuty calls the place they come from."""
    return {name: _build(settings, channel, source) for name, channel in routes.channels.items()}


def _build(settings: Settings, channel: ChannelConfig, source: str) -> Notifier:
    timeout = settings.alert_timeout
    if channel.slack and settings.slack_token:
        where = (settings.slack_channel if channel.slack == DEFAULT else None) or channel.slack
        return SlackBot(settings.slack_token, where, settings.slack_api_url, timeout, channel.mention)
    if channel.slack_webhook:
        return SlackWebhook(named(settings.slack_webhooks, channel.slack_webhook), timeout, channel.mention)
    if channel.pagerduty:
        return PagerDuty(named(settings.pagerduty_keys, channel.pagerduty), settings.pagerduty_url, timeout, source)
    if channel.email and settings.smtp_url and settings.mail_from:
        return Mail(MailServer(settings.smtp_url, settings.mail_from, timeout), channel.email)
    raise AssertionError(f"{channel.kind} lacks what `load_routes` has seen")
