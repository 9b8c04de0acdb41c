"""Versions, environment variables and the clock: each problem has a message and a remedy."""

from __future__ import annotations

import platform
from datetime import datetime, timedelta, timezone

import pytest
from packaging.requirements import Requirement

from analytics_dagster.cli.doctor.environment import (
    OURS,
    Installed,
    check_clock,
    check_settings,
    check_versions,
    read_installed,
)
from analytics_dagster.cli.doctor.result import CheckStatus
from analytics_dagster.settings import Settings

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def _installed(version: str, *requires: str, python: str = "") -> Installed:
    return Installed(version, tuple(map(Requirement, requires)), python)


OUR_OWN = _installed(
    "0.1.0",
    "dagster<1.14,>=1.13.27",
    "dagster-dbt<0.30,>=0.29.27",
    'dbt-postgres>=1.9; extra == "production"',
    'colorama; sys_platform == "nowhere"',
    python="<3.14,>=3.10",
)
FITTING = {
    OURS: OUR_OWN,
    "dagster": _installed("1.13.27"),
    "dagster-dbt": _installed("0.29.27", "dagster==1.13.27", 'dagster>=9; extra == "test"'),
}


def test_met_requirements_are_one_line() -> None:
    [result] = check_versions(FITTING, python="3.12.1")
    assert result.status is CheckStatus.OK
    assert "Python 3.12.1, dagster 1.13.27, dagster-dbt 0.29.27" in result.message


@pytest.mark.parametrize(
    ("changed", "python", "said", "remedy"),
    [
        (
            {"dagster": _installed("1.14.0")},
            "3.12.1",
            "dagster 1.14.0 is installed; analytics-dagster 0.1.0 needs <1.14,>=1.13.27.",
            'pip install "dagster<1.14,>=1.13.27"',
        ),
        (
            {"dagster": _installed("1.13.28")},
            "3.12.1",
            "dagster 1.13.28 is installed; dagster-dbt 0.29.27 needs ==1.13.27.",
            'pip install "dagster==1.13.27"',
        ),
        ({"dagster-dbt": None}, "3.12.1", "dagster-dbt is not installed.", 'pip install "dagster-dbt<0.30,>=0.29.27"'),
        (
            {"dbt-postgres": _installed("1.8.2")},
            "3.12.1",
            "dbt-postgres 1.8.2 is installed; analytics-dagster 0.1.0 needs >=1.9.",
            'pip install "dbt-postgres>=1.9"',
        ),
        (
            {},
            "3.14.0",
            "Python 3.14.0 is running; analytics-dagster needs <3.14,>=3.10.",
            "Install with another Python.",
        ),
    ],
    ids=["outside our range", "another release", "missing", "an installed extra", "another Python"],
)
def test_an_unmet_requirement_is_an_error_with_the_command_that_corrects_it(
    changed: dict[str, Installed | None], python: str, said: str, remedy: str
) -> None:
    installed = {name: one for name, one in {**FITTING, **changed}.items() if one is not None}
    results = [result for result in check_versions(installed, python) if result.status is CheckStatus.ERROR]
    assert (said, remedy) in [(result.message, result.remedy) for result in results]


def test_a_package_that_is_only_importable_is_a_warning() -> None:
    [result] = check_versions({}, "3.12.1")
    assert result.status is CheckStatus.WARNING


def test_the_installed_versions_are_read_and_fit() -> None:
    installed = read_installed()
    assert {OURS, "dagster", "dagster-dbt", "dbt-core", "duckdb"} <= installed.keys()
    assert [
        result.message
        for result in check_versions(installed, platform.python_version())
        if result.status is not CheckStatus.OK
    ] == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ANALYTICS_TIMEZONE", "ANALYTICS_TIME_ZONE"),
        ("ANALYTICS_SLACK_WEBHOOK__FINANCE", "ANALYTICS_SLACK_WEBHOOKS"),
        ("ANALYTICS_TIME_ZONE", None),
        ("ANALYTICS_CRON__HOURLY", None),
        ("ANALYTICS_POSTGRES_HOST", None),
        ("TIMEZONE", None),
    ],
)
def test_a_variable_with_almost_the_name_of_a_setting_is_reported(name: str, meant: str | None) -> None:
    warnings = [one for one in check_settings(Settings(), [name]) if one.status is CheckStatus.WARNING]
    assert [one.message for one in warnings] == (
        [f"{name} is not a setting and has no effect. Did you mean {meant}?"] if meant else []
    )


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, CheckStatus.OK),
        (-29, CheckStatus.OK),
        (45, CheckStatus.WARNING),
        (-45, CheckStatus.WARNING),
        (900, CheckStatus.ERROR),
    ],
)
def test_a_clock_that_is_wrong_by_minutes_is_an_error(seconds: float, status: CheckStatus) -> None:
    others = {"Slack": NOON - timedelta(seconds=seconds), "the warehouse": NOON}
    result = check_clock(NOON, others)
    assert result.status is status
    assert seconds <= 0 or status is CheckStatus.OK or "ahead of Slack" in result.message
