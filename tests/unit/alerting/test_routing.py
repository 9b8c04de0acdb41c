"""Which channels receive an incident, by which rule and when."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_dagster.alerting.incidents import Alert, Incident, Severity
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routing import escalations, held_until, route
from analytics_dagster.execution.failures.classification import FailureKind

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


def channels_and_rules(rules: list[dict[str, Any]], one: Incident, environment: str = "prod") -> list[tuple[str, str]]:
    return list(route(routes(rules), one, environment).items())


# --- the file ---------------------------------------------------------------------------------------------------


# --- the decision -----------------------------------------------------------------------------------------------


def test_the_first_matching_rule_decides_unless_it_continues() -> None:
    assert channels_and_rules([{"name": "x", "to": "a"}, {"name": "y", "to": "b"}], incident()) == [("a", "x")]
    with_continue: list[dict[str, Any]] = [{"name": "x", "to": "a", "continue": True}, {"name": "y", "to": ["a", "b"]}]
    assert channels_and_rules(with_continue, incident()) == [("a", "x"), ("b", "y")]
    assert channels_and_rules([{"name": "nobody", "to": []}, {"name": "y", "to": "b"}], incident()) == []


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
def test_a_rule_applies_if_all_its_keys_match(when: dict[str, Any], *, fits: bool) -> None:
    assert bool(channels_and_rules([{"name": "x", "to": "a", "when": when}], incident())) is fits


def test_a_warning_matches_only_a_rule_with_severity_warn() -> None:
    warning = incident(severity=Severity.WARN)
    assert channels_and_rules([{"name": "x", "to": "a"}], warning) == []
    assert channels_and_rules([{"name": "x", "to": "a", "when": {"severity": ["warn"]}}], warning) == [("a", "x")]


def test_a_rule_sends_only_critical_incidents_to_pagerduty() -> None:
    rules = [{"name": "x", "to": ["a", "pager"]}]
    assert channels_and_rules(rules, incident()) == [("a", "x")]
    assert channels_and_rules(rules, incident(severity=Severity.CRITICAL)) == [("a", "x"), ("pager", "x")]


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
def test_a_tag_a_group_or_an_exposure_makes_a_failure_critical(critical: dict[str, Any], *, expected: bool) -> None:
    found = routes([], critical=critical).critical
    assert found.matches(["daily"], ["nightly"], [("exposures/board", "high")]) is expected


def test_a_rule_escalates_once_after_its_time() -> None:
    found = routes([{"name": "x", "to": "a", "escalate": {"after": "4h", "to": "b"}}])
    for later, expected in ((3 * 3600, []), (4 * 3600, ["x"])):
        assert [rule.name for rule in escalations(found, incident(), "prod", NOON + later)] == expected
    escalated_before = Incident("i", incident().alert, NOON, NOON, escalated=("x",))
    assert escalations(found, escalated_before, "prod", NOON + 99_999) == []


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
def test_notifications_in_quiet_hours_wait_until_their_end(hours: float, until: float | None) -> None:
    found = Routes.model_validate({"time_zone": "UTC", "channels": {"a": QUIET}, "rules": []})
    moment, _ = held_until(found, "a", incident(), NOON + hours * 3600)
    assert moment == (0.0 if until is None else NOON + until * 3600)


def test_critical_incidents_ignore_quiet_hours() -> None:
    found = Routes.model_validate({"time_zone": "UTC", "channels": {"a": QUIET}, "rules": []})
    assert held_until(found, "a", incident(severity=Severity.CRITICAL), NOON + 40_000) == (0.0, "")


def test_a_failure_in_a_maintenance_window_waits_until_its_end() -> None:
    window = {"from": "2026-06-01 13:00", "to": "2026-06-01 16:00", "group": "nightly"}
    found = routes([], time_zone="Europe/Berlin", maintenance=[window])  # 11:00 to 14:00 UTC
    assert held_until(found, "a", incident(), NOON)[0] == NOON + 2 * 3600
    assert held_until(found, "a", incident(), NOON + 3 * 3600)[0] == 0.0
    assert held_until(found, "a", incident(groups=("hourly",)), NOON)[0] == 0.0
