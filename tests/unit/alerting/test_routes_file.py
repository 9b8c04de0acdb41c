"""Reading the routes file: the bundled one and a user's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routes_file import BUNDLED, SCHEMA, json_schema, load_routes, missing_variables
from analytics_dagster.errors import AlertError
from analytics_dagster.settings import Settings

TOKEN = SecretStr("xoxb-hunter2")


def test_the_bundled_routes_have_the_channels_that_are_set_up() -> None:
    assert load_routes(Settings()).channels == {}
    assert list(load_routes(Settings(slack_token=TOKEN, slack_channel="#data")).channels) == ["slack"]
    hook = Settings(slack_webhooks={"DEFAULT": SecretStr("https://hook")}, pagerduty_keys={"default": SecretStr("k")})
    assert list(load_routes(hook).channels) == ["webhook", "on_call"]


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        (Settings(slack_token=TOKEN), "ANALYTICS_SLACK_CHANNEL"),
        (Settings(slack_channel="#data"), "ANALYTICS_SLACK_TOKEN"),
        (Settings(mail_from="a@example.com"), "ANALYTICS_SMTP_URL"),
    ],
)
def test_an_incomplete_channel_is_an_error_that_names_the_missing_variable(settings: Settings, absent: str) -> None:
    with pytest.raises(AlertError, match=f"{absent} is not set") as raised:
        load_routes(settings)
    assert "hunter2" not in str(raised.value)


def test_a_channel_of_a_users_file_needs_its_variables_unless_optional(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("channels: {money: {slack_webhook: finance}}\nrules: [{name: all, to: money}]\n")
    with pytest.raises(AlertError, match=r"money \(ANALYTICS_SLACK_WEBHOOKS__FINANCE\)"):
        load_routes(Settings(alerts_file=path))
    path.write_text("channels: {money: {slack_webhook: finance, optional: true}}\nrules: [{name: all, to: money}]\n")
    assert load_routes(Settings(alerts_file=path)).channels == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rules: []", ["alerts.yaml:1: channels: this key is expected"]),
        (
            "channels:\n  a: {slak: '#a'}\nrules: []",
            [":2: channels, a, slak: there is no such key; did you mean `slack`?"],
        ),
        (
            "channels:\n  a: {}\nrules: []",
            [":2: channels, a: give one of slack, slack_webhook, pagerduty, email, not none"],
        ),
        (
            "channels:\n  a: {slack: '#a'}\nrules:\n  - {name: x, to: [b]}",
            [":4: rules, 0, to, 0: 'b' is not a channel of this file (there are a)"],
        ),
        (
            "channels:\n  a: {slack: '#a'}\nrules:\n  - name: x\n    to: a\n    when: {ownr: z}",
            [":6: rules, 0, when, ownr: there is no such key; did you mean `owner`?"],
        ),
        (
            "channels:\n  a:\n    slack: '#a'\n    quiet_hours: {from: 25:00, to: 7am}\nrules: []",
            [":4: channels, a, quiet_hours, from:", "'25:00' is not a time of day", "'7am' is not a time of day"],
        ),
        (
            "channels: {a: {slack: '#a'}}\nrules:\n  - {name: x, to: a, escalate: {after: soon}}",
            [":3: rules, 0, escalate, after: 'soon' is not a duration (such as 30m, 4h or 2d)"],
        ),
        (
            "channels: {a: {slack: '#a'}}\nrules: []\nmaintenance:\n  - {from: 2026-01-02, to: 2026-01-01}",
            [":4: maintenance, 0, to: a window must end after it starts"],
        ),
        ("channels: [", ["can't be read"]),
    ],
)
def test_an_error_names_its_line_and_suggests_the_key(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    with pytest.raises(AlertError) as raised:
        load_routes(Settings(alerts_file=path))
    for one in expected:
        assert one in str(raised.value)
    assert raised.value.remedy


def test_the_schema_matches_the_models_and_the_bundled_file_names_it() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()
    assert BUNDLED.read_text(encoding="utf-8").startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")


def test_missing_variables_are_listed_by_channel() -> None:
    found = Routes.model_validate({"channels": {"a": {"email": "owners"}, "b": {"pagerduty": "night"}}, "rules": []})
    assert missing_variables(found, Settings()) == {
        "a": ["ANALYTICS_SMTP_URL", "ANALYTICS_MAIL_FROM"],
        "b": ["ANALYTICS_PAGERDUTY_KEYS__NIGHT"],
    }


def test_a_time_without_quotes_is_read_as_a_time(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("channels:\n  a: {slack: '#a', quiet_hours: {from: 22:00, to: 07:00}}\nrules: []\n")
    quiet = load_routes(Settings(alerts_file=path, slack_token=TOKEN)).channels["a"].quiet_hours
    assert quiet is not None
    assert (quiet.from_, quiet.to) == ("22:00", "07:00")
