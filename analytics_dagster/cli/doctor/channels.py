"""Checks the alert channels without sending a message; `analytics-dagster alerts test` sends one."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

from pydantic import SecretStr

from analytics_dagster.alerting.channels.mail import MailServer
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.cli.doctor.result import Check, CheckResult, Clocks
from analytics_dagster.settings import Environment, Settings, variable_name

ALERTS = Check("alerts")
SLACK = Check("Slack")
PAGERDUTY = Check("PagerDuty")
MAIL = Check("mail")

_WEBHOOK = re.compile(r"https://\S+")
_PAGERDUTY_KEY = re.compile(r"[0-9A-Za-z]{32}")
_SCOPE = "chat:write"


def check_routes(settings: Settings) -> Iterator[CheckResult]:
    """Yield which channels are set up; raises `AlertError` if a channel is incomplete or the routes are invalid."""
    channels = load_routes(settings).channels
    if channels:
        yield ALERTS.ok(f"Channels: {', '.join(channels)}.")
    elif settings.environment is Environment.PROD:
        message = "No channel is set up: nobody is notified of failures."
        yield ALERTS.warning(message, "docs/alerts.md names the variables.")
    else:
        yield ALERTS.ok("No channel is set up.")


def check_channels(settings: Settings, clocks: Clocks) -> Iterator[CheckResult]:
    """Yield the result for each channel that is set up."""
    if settings.slack_token is not None:
        yield check_slack(settings.slack_token, settings.slack_api_url, settings.alert_timeout, clocks)
    yield from check_webhooks(settings.slack_webhooks)
    yield from check_pagerduty(settings.pagerduty_keys)
    if settings.smtp_url is not None:
        yield check_mail(settings.smtp_url, settings.mail_from or "", settings.alert_timeout)


def check_slack(token: SecretStr, api_url: str, timeout: float, clocks: Clocks) -> CheckResult:
    """Ask Slack whose token it is, which posts nothing, and read Slack's clock.

    Source: https://api.slack.com/methods/auth.test, and the header `x-oauth-scopes` of its answer.
    """
    from slack_sdk import WebClient  # only if a token is set
    from slack_sdk.errors import SlackApiError, SlackClientError

    variable = variable_name("slack_token")
    client = WebClient(token.get_secret_value(), base_url=api_url, timeout=round(timeout) or 1)
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        _read_clock(error.response.headers, clocks)
        reason = str(error.response.get("error") or error.response.status_code)
        return SLACK.error(f"Slack rejects the token in {variable}: {reason}.", "Set a valid bot token.")
    except (SlackClientError, OSError) as error:
        message = f"Slack does not answer at {api_url}: {type(error).__name__}."
        return SLACK.error(message, f"Check the network; {variable_name('slack_api_url')} sets the address.")
    _read_clock(answer.headers, clocks)
    scopes = str(_header(answer.headers, "x-oauth-scopes") or "")
    if scopes and _SCOPE not in re.split(r"[,\s]+", scopes):
        message = f"The token in {variable} may not post: it lacks the scope {_SCOPE}."
        return SLACK.error(message, "Add the scope to the app, and install it again.")
    return SLACK.ok(f"The token is valid: {answer.get('user')} in {answer.get('team')}.")


def _read_clock(headers: Mapping[str, object], clocks: Clocks) -> None:
    with suppress(TypeError, ValueError):
        clocks["Slack"] = parsedate_to_datetime(str(_header(headers, "date") or ""))


def _header(headers: Mapping[str, object], name: str) -> object:
    value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value[0] if isinstance(value, list) and value else value


def check_webhooks(webhooks: Mapping[str, SecretStr]) -> Iterator[CheckResult]:
    """Yield the webhooks with an invalid form; a request would post a message. Pure."""
    wrong = [name for name, url in webhooks.items() if not _WEBHOOK.fullmatch(url.get_secret_value())]
    if wrong:
        message = f"{_variables('slack_webhooks', wrong)}: the address must begin with https://."
        yield SLACK.error(message, "Copy the whole address from the page of the Slack app.")
    elif webhooks:
        yield SLACK.ok(f"{len(webhooks)} webhooks; `analytics-dagster alerts test` tries them.")


def check_pagerduty(keys: Mapping[str, SecretStr]) -> Iterator[CheckResult]:
    """Yield the integration keys with an invalid form; a request would page somebody. Pure.

    Source: https://developer.pagerduty.com/docs/send-alert-event (`routing_key`: 32 characters).
    """
    wrong = [name for name, key in keys.items() if not _PAGERDUTY_KEY.fullmatch(key.get_secret_value())]
    if wrong:
        message = f"{_variables('pagerduty_keys', wrong)}: a key has 32 letters and digits."
        yield PAGERDUTY.error(message, "Copy the integration key of an Events API v2 integration.")
    elif keys:
        yield PAGERDUTY.ok(f"{len(keys)} keys of a valid form; `analytics-dagster alerts test` tries them.")


def _variables(field: str, names: list[str]) -> str:
    return ", ".join(f"{variable_name(field)}__{name.upper()}" for name in names)


def check_mail(url: SecretStr, sender: str, timeout: float) -> CheckResult:
    """Return whether the mail server accepts a login."""
    variable = variable_name("smtp_url")
    try:
        with MailServer(url, sender, timeout).opened() as client:
            code, _ = client.noop()
    except smtplib.SMTPAuthenticationError:
        remedy = f"Correct {variable}; percent-encode special characters."
        return MAIL.error("The mail server rejects the user or password.", remedy)
    except (smtplib.SMTPException, OSError) as error:
        message = f"The mail server of {variable} can't be used: {type(error).__name__}."
        return MAIL.error(message, "Correct the address and the port, or check the network.")
    return MAIL.ok(f"The mail server accepts the login ({code}).")
