"""Whether the channels of alerts would take a message; none is sent (`analytics-dagster alerts test` sends one)."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from pydantic import SecretStr

from analytics_dagster.alerting.channels.mail import MailServer
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.settings import Environment, Settings, variable_name

ALERTS = "alerts"
SLACK = "Slack"
PAGERDUTY = "PagerDuty"
MAIL = "mail"

_WEBHOOK = re.compile(r"https://\S+")
_PAGERDUTY_KEY = re.compile(r"[0-9A-Za-z]{32}")
_SCOPE = "chat:write"


def check_routes(settings: Settings) -> Iterator[Finding]:
    """Yield which channels are set up; raises `AlertError` where one is half set up, or the routes can't be used."""
    channels = load_routes(settings).channels
    if channels:
        yield well(ALERTS, f"Channels: {', '.join(channels)}.")
    elif settings.environment is Environment.PROD:
        yield doubt(ALERTS, "No channel is set up: nobody hears of a failure.", "docs/alerts.md names the variables.")
    else:
        yield well(ALERTS, "No channel is set up.")


@dataclass(frozen=True)
class Answer:
    """What Slack said to a token; ``moment`` is its own clock, where it told it."""

    finding: Finding
    moment: datetime | None = None


def ask_slack(token: SecretStr, api_url: str, timeout: float) -> Answer:
    """Ask Slack whose the token is, which posts nothing.

    Source: https://api.slack.com/methods/auth.test, and the header `x-oauth-scopes` of its answer.
    """
    from slack_sdk import WebClient  # only where a token is set
    from slack_sdk.errors import SlackApiError, SlackClientError

    variable = variable_name("slack_token")
    client = WebClient(token.get_secret_value(), base_url=api_url, timeout=round(timeout) or 1)
    try:
        answer = client.auth_test()
    except SlackApiError as error:
        said = str(error.response.get("error") or error.response.status_code)
        finding = ill(SLACK, f"Slack refuses the token of {variable}: {said}.", "Set a bot token that is in force.")
        return Answer(finding, _moment(error.response.headers))
    except (SlackClientError, OSError) as error:
        said = f"Slack does not answer at {api_url}: {type(error).__name__}."
        return Answer(
            ill(SLACK, said, f"See that this machine may reach it; {variable_name('slack_api_url')} names it.")
        )
    scopes = str(_header(answer.headers, "x-oauth-scopes") or "")
    if scopes and _SCOPE not in re.split(r"[,\s]+", scopes):
        said = f"The token of {variable} may not post: it lacks the scope {_SCOPE}."
        return Answer(ill(SLACK, said, "Add the scope to the app, and install it anew."), _moment(answer.headers))
    whose = f"{answer.get('user')} in {answer.get('team')}"
    return Answer(well(SLACK, f"The token is in force: {whose}."), _moment(answer.headers))


def _moment(headers: Mapping[str, object]) -> datetime | None:
    return http_date(str(_header(headers, "date") or ""))


def http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP `Date` header; None where it is none."""
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None


def _header(headers: Mapping[str, object], name: str) -> object:
    value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value[0] if isinstance(value, list) and value else value


def check_webhooks(webhooks: Mapping[str, SecretStr]) -> Iterator[Finding]:
    """Yield which webhooks can't be right by their form: to ask one is to post. Pure."""
    wrong = [name for name, url in webhooks.items() if not _WEBHOOK.fullmatch(url.get_secret_value())]
    variable = variable_name("slack_webhooks")
    if wrong:
        said = f"{', '.join(f'{variable}__{name.upper()}' for name in wrong)}: no address that begins with https://."
        yield ill(SLACK, said, "Copy the whole address from Slack's page of the app.")
    elif webhooks:
        yield well(SLACK, f"{len(webhooks)} webhooks; `analytics-dagster alerts test` tries them.")


def check_pagerduty(keys: Mapping[str, SecretStr]) -> Iterator[Finding]:
    """Yield which integration keys can't be right by their form: to ask PagerDuty is to page somebody. Pure.

    Source: https://developer.pagerduty.com/docs/send-alert-event (`routing_key`: 32 characters).
    """
    wrong = [name for name, key in keys.items() if not _PAGERDUTY_KEY.fullmatch(key.get_secret_value())]
    variable = variable_name("pagerduty_keys")
    if wrong:
        said = f"{', '.join(f'{variable}__{name.upper()}' for name in wrong)}: not the 32 letters and digits of a key."
        yield ill(PAGERDUTY, said, "Copy the integration key of an Events API v2 integration.")
    elif keys:
        yield well(PAGERDUTY, f"{len(keys)} keys of the right form; `analytics-dagster alerts test` tries them.")


def check_mail(url: SecretStr, sender: str, timeout: float) -> Finding:
    """Return whether the mail server lets us in."""
    variable = variable_name("smtp_url")
    try:
        with MailServer(url, sender, timeout).opened() as client:
            code, _ = client.noop()
    except smtplib.SMTPAuthenticationError:
        return ill(MAIL, "The mail server refuses user and password.", f"Correct {variable}; quote what is no letter.")
    except (smtplib.SMTPException, OSError) as error:
        said = f"The mail server of {variable} does not let us in: {type(error).__name__}."
        return ill(MAIL, said, "Correct the address and the port, or see that this machine may reach it.")
    return well(MAIL, f"The mail server lets us in ({code}).")
