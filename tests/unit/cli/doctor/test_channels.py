"""Alert channels are checked without a message, and no secret is printed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from analytics_dagster.cli.doctor.channels import check_mail, check_pagerduty, check_routes, check_slack, check_webhooks
from analytics_dagster.cli.doctor.result import CheckStatus, Clocks
from analytics_dagster.settings import Settings


class _Slack(BaseHTTPRequestHandler):
    """Answers `auth.test` by the token: one is valid, one may not post, all others are unknown."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        known = token in {"xoxb-good", "xoxb-mute"}
        body = (
            b'{"ok": true, "user": "dagster", "team": "Data"}' if known else b'{"ok": false, "error": "invalid_auth"}'
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if known:
            self.send_header("x-oauth-scopes", "chat:write,users:read" if token == "xoxb-good" else "users:read")  # noqa: S105
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def slack() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slack) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("token", "status", "told"),
    [
        ("xoxb-good", CheckStatus.OK, "dagster in Data"),
        ("xoxb-mute", CheckStatus.ERROR, "lacks the scope chat:write"),
        ("xoxb-gone", CheckStatus.ERROR, "invalid_auth"),
    ],
)
def test_a_slack_token_is_checked_and_slacks_clock_read(slack: str, token: str, status: CheckStatus, told: str) -> None:
    clocks: Clocks = {}
    result = check_slack(SecretStr(token), slack, 5, clocks)
    assert result.status is status
    assert told in result.message
    assert token not in result.message + result.remedy
    assert abs(clocks["Slack"] - datetime.now(tz=timezone.utc)) < timedelta(seconds=10)


def test_slack_not_answering_is_an_error() -> None:
    clocks: Clocks = {}
    result = check_slack(SecretStr("xoxb-good"), "http://127.0.0.1:9/api/", 1, clocks)
    assert result.status is CheckStatus.ERROR
    assert "127.0.0.1:9" in result.message
    assert clocks == {}


def test_webhooks_and_pagerduty_keys_are_checked_by_their_form() -> None:
    webhooks = {"finance": SecretStr("https://hooks.slack.com/services/T/B/x"), "ops": SecretStr("hooks.slack.com/x")}
    [result] = check_webhooks(webhooks)
    assert result.message.startswith("ANALYTICS_SLACK_WEBHOOKS__OPS:")
    keys = {"good": SecretStr("a1" * 16), "on_call": SecretStr("too-short")}
    [result] = check_pagerduty(keys)
    assert result.message.startswith("ANALYTICS_PAGERDUTY_KEYS__ON_CALL:")
    assert "too-short" not in result.message
    assert [one.status for one in check_pagerduty({"good": keys["good"]})] == [CheckStatus.OK]
    assert list(check_pagerduty({})) == list(check_webhooks({})) == []


def test_no_channel_is_a_warning_only_in_production() -> None:
    assert [one.status for one in check_routes(Settings())] == [CheckStatus.OK]
    assert [one.status for one in check_routes(Settings(environment="prod"))] == [CheckStatus.WARNING]


class _Mailbox:
    """Accepts mail."""


def test_a_login_to_the_mail_server_is_checked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(_Mailbox(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        url = SecretStr(f"smtp://127.0.0.1:{port}")
        assert check_mail(url, "dagster@example.com", 5).status is CheckStatus.OK
        refused = check_mail(SecretStr(f"smtp://me:hunter22@127.0.0.1:{port}"), "dagster@example.com", 5)
    finally:
        server.stop()
    assert refused.status is CheckStatus.ERROR
    assert "hunter22" not in refused.message + refused.remedy
    assert check_mail(url, "dagster@example.com", 1).status is CheckStatus.ERROR, "the server has stopped"
