"""The routes that come with the package: useful as they are, with whatever channels are set up; never half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from analytics_dagster.alerting.incidents import Alert, Incident, Severity
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routes_file import BUNDLED, SCHEMA, absent_variables, json_schema, load_routes
from analytics_dagster.alerting.routing import escalations, held_until, route
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.settings import Settings

TOKEN = SecretStr("xoxb-hunter2")
NOON = 1_780_315_200.0  # 2026-06-01 12:00 UTC, a Monday


def incident(**alert: Any) -> Incident:
    facts = {
        "key": "k",
        "title": "orders failed",
        "kind": FailureKind.SQL,
        "severity": Severity.ERROR,
        "moment": NOON,
        "owners": ("team:finance",),
        "groups": ("nightly",),
        "tags": ("daily",),
        "paths": ("models/marts/finance/orders.sql",),
        **alert,
    }
    return Incident("i", Alert(**facts), opened=NOON, seen=NOON)


def routes(rules: list[dict[str, Any]], **others: Any) -> Routes:
    channels = {"a": {"slack": "#a"}, "b": {"slack": "#b"}, "pager": {"pagerduty": "default"}}
    return Routes.model_validate({"channels": channels, "rules": rules, **others})


def told(rules: list[dict[str, Any]], one: Incident, environment: str = "prod") -> list[tuple[str, str]]:
    return [(decision.channel, decision.rule) for decision in route(routes(rules), one, environment)]


# --- the file ---------------------------------------------------------------------------------------------------


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
def test_half_of_what_a_channel_needs_is_an_error_that_names_the_other_half(settings: Settings, absent: str) -> None:
    with pytest.raises(AlertError, match=f"{absent} is absent") as raised:
        load_routes(settings)
    assert "hunter2" not in str(raised.value)


def test_a_channel_of_a_file_of_ones_own_needs_its_variables_unless_it_is_optional(tmp_path: Path) -> None:
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
            [":4: rules, 0, to, 0: 'b' is no channel of this file (there are a)"],
        ),
        (
            "channels:\n  a: {slack: '#a'}\nrules:\n  - name: x\n    to: a\n    when: {ownr: z}",
            [":6: rules, 0, when, ownr: there is no such key; did you mean `owner`?"],
        ),
        (
            "channels:\n  a:\n    slack: '#a'\n    quiet_hours: {from: 25:00, to: 7am}\nrules: []",
            [":4: channels, a, quiet_hours, from:", "'25:00' is no time of day", "'7am' is no time of day"],
        ),
        (
            "channels: {a: {slack: '#a'}}\nrules:\n  - {name: x, to: a, escalate: {after: soon}}",
            [":3: rules, 0, escalate, after: 'soon' is no duration (such as 30m, 4h or 2d)"],
        ),
        (
            "channels: {a: {slack: '#a'}}\nrules: []\nmaintenance:\n  - {from: 2026-01-02, to: 2026-01-01}",
            [":4: maintenance, 0, to: a window must end after it begins"],
        ),
        ("channels: [", ["can't be read"]),
    ],
)
def test_what_is_wrong_names_its_line_and_what_is_meant(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    with pytest.raises(AlertError) as raised:
        load_routes(Settings(alerts_file=path))
    for one in expected:
        assert one in str(raised.value)
    assert raised.value.remedy


def test_the_schema_is_that_of_the_classes_and_the_bundled_file_names_it() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()
    assert BUNDLED.read_text(encoding="utf-8").startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")


def test_the_variables_that_channels_need_are_told() -> None:
    found = Routes.model_validate({"channels": {"a": {"email": "owners"}, "b": {"pagerduty": "night"}}, "rules": []})
    assert absent_variables(found, Settings()) == {
        "a": ["ANALYTICS_SMTP_URL", "ANALYTICS_MAIL_FROM"],
        "b": ["ANALYTICS_PAGERDUTY_KEYS__NIGHT"],
    }


# --- the decision -----------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_decides_unless_it_goes_on() -> None:
    assert told([{"name": "x", "to": "a"}, {"name": "y", "to": "b"}], incident()) == [("a", "x")]
    going_on: list[dict[str, Any]] = [{"name": "x", "to": "a", "continue": True}, {"name": "y", "to": ["a", "b"]}]
    assert told(going_on, incident()) == [("a", "x"), ("b", "y")]
    assert told([{"name": "nobody", "to": []}, {"name": "y", "to": "b"}], incident()) == []


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({}, True),
        ({"owner": "team:finance"}, True),
        ({"owner": ["team:core", "team:fin*"]}, True),
        ({"owner": "team:core"}, False),
        ({"group": "nightly"}, True),
        ({"group": "hourly"}, False),
        ({"tag": "daily"}, True),
        ({"tag": "weekly"}, False),
        ({"path": "models/marts/*"}, True),
        ({"path": "models/staging/*"}, False),
        ({"severity": ["critical"]}, False),
        ({"severity": ["error"]}, True),
        ({"environment": "prod"}, True),
        ({"environment": ["dev", "staging"]}, False),
        ({"kind": "SQL error"}, True),
        ({"owner": "team:finance", "tag": "weekly"}, False),
    ],
)
def test_a_rule_is_for_what_fits_all_that_it_asks(when: dict[str, Any], *, fits: bool) -> None:
    assert bool(told([{"name": "x", "to": "a", "when": when}], incident())) is fits


def test_a_check_that_warns_fits_only_a_rule_that_names_it() -> None:
    warning = incident(severity=Severity.WARN)
    assert told([{"name": "x", "to": "a"}], warning) == []
    assert told([{"name": "x", "to": "a", "when": {"severity": ["warn"]}}], warning) == [("a", "x")]


def test_pagerduty_hears_of_what_is_critical_alone() -> None:
    rules = [{"name": "x", "to": ["a", "pager"]}]
    assert told(rules, incident()) == [("a", "x")]
    assert told(rules, incident(severity=Severity.CRITICAL)) == [("a", "x"), ("pager", "x")]


@pytest.mark.parametrize(
    ("critical", "expected"),
    [
        ({"tag": ["daily"]}, True),
        ({"tag": [], "group": "night*"}, True),
        ({"exposure": "board"}, True),
        ({"maturity": "high"}, True),
        ({"exposure": "other", "maturity": "low"}, False),
    ],
)
def test_a_tag_a_group_or_an_exposure_says_what_is_critical(critical: dict[str, Any], *, expected: bool) -> None:
    found = routes([], critical=critical).critical
    assert found.holds(["daily"], ["nightly"], [("exposures/board", "high")]) is expected


def test_what_lasts_escalates_once_after_its_time() -> None:
    found = routes([{"name": "x", "to": "a", "escalate": {"after": "4h", "to": "b"}}])
    for later, expected in ((3 * 3600, []), (4 * 3600, ["x"])):
        assert [rule.name for rule in escalations(found, incident(), "prod", NOON + later)] == expected
    told_already = Incident("i", incident().alert, NOON, NOON, escalated=("x",))
    assert escalations(found, told_already, "prod", NOON + 99_999) == []


# --- peace ------------------------------------------------------------------------------------------------------

QUIET = {"slack": "#a", "quiet_hours": {"from": "22:00", "to": "07:00", "whole_days": ["sat", "sun"]}}


@pytest.mark.parametrize(
    ("hours", "until"),
    [
        (0, None),  # Monday noon
        (9.99, None),
        (10, 19),  # 22:00 until 07:00
        (18.9, 19),
        (19, None),
        (24 * 4 + 11, 24 * 7 - 5),  # Friday night: quiet until Monday at 07:00
        (24 * 5, 24 * 7 - 5),
    ],
)
def test_in_quiet_hours_a_channel_is_told_when_they_end(hours: float, until: float | None) -> None:
    found = Routes.model_validate({"time_zone": "UTC", "channels": {"a": QUIET}, "rules": []})
    moment, _ = held_until(found, "a", incident(), NOON + hours * 3600)
    assert moment == (0.0 if until is None else NOON + until * 3600)


def test_what_is_critical_is_told_in_quiet_hours_too() -> None:
    found = Routes.model_validate({"time_zone": "UTC", "channels": {"a": QUIET}, "rules": []})
    assert held_until(found, "a", incident(severity=Severity.CRITICAL), NOON + 40_000) == (0.0, "")


def test_a_time_without_quotes_is_a_time_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("channels:\n  a: {slack: '#a', quiet_hours: {from: 22:00, to: 07:00}}\nrules: []\n")
    quiet = load_routes(Settings(alerts_file=path, slack_token=TOKEN)).channels["a"].quiet_hours
    assert quiet is not None
    assert (quiet.from_, quiet.to) == ("22:00", "07:00")


def test_what_fails_in_a_maintenance_window_is_held_until_its_end() -> None:
    window = {"from": "2026-06-01 13:00", "to": "2026-06-01 16:00", "group": "nightly"}
    found = routes([], time_zone="Europe/Berlin", maintenance=[window])  # 11:00 to 14:00 UTC
    assert held_until(found, "a", incident(), NOON)[0] == NOON + 2 * 3600
    assert held_until(found, "a", incident(), NOON + 3 * 3600)[0] == 0.0
    assert held_until(found, "a", incident(groups=("hourly",)), NOON)[0] == 0.0
