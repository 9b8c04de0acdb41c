"""Settings: the variable of each field, errors, and that no other module reads the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from analytics_dagster.errors import SettingsError
from analytics_dagster.settings import (
    CHECKOUT,
    DbtArtifacts,
    DbtRunner,
    Environment,
    Settings,
    load_settings,
    missing_variables,
    set_dagster_home,
    variable_name,
)

SECRET = "hunter2"  # noqa: S105 - not a real secret

# A value of every variable that is not its default, and the resulting value of the field.
VALUES: dict[str, tuple[str, Any]] = {
    "ANALYTICS_ENVIRONMENT": ("staging", Environment.STAGING),
    "ANALYTICS_DBT_PROJECT_DIR": ("/some/project", Path("/some/project")),
    "ANALYTICS_DBT_PROFILES_DIR": ("/some/profiles", Path("/some/profiles")),
    "ANALYTICS_DBT_PROFILE": ("shop", "shop"),
    "ANALYTICS_DBT_TARGET": ("server", "server"),
    "ANALYTICS_DBT_TARGET_PATH": ("elsewhere", Path("elsewhere")),
    "ANALYTICS_DBT_VARS": ('{"region": "north"}', {"region": "north"}),
    "ANALYTICS_DBT_RUNNER": ("plain", DbtRunner.PLAIN),
    "ANALYTICS_DBT_ARTIFACTS": ("all", DbtArtifacts.ALL),
    "ANALYTICS_DBT_ARTIFACTS_DAYS": ("1.5", 1.5),
    "ANALYTICS_DAGSTER_SHORTCUTS": ("false", False),
    "ANALYTICS_SCHEDULE_GROUPS_FILE": ("groups.yaml", Path("groups.yaml")),
    "ANALYTICS_CRON": ('{"hourly": "15 * * * *"}', {"hourly": "15 * * * *"}),
    "ANALYTICS_TIME_ZONE": ("Europe/Berlin", "Europe/Berlin"),
    "ANALYTICS_SCHEDULES_RUNNING": ("true", True),
    "ANALYTICS_UNIT_TESTS": ("true", True),
    "ANALYTICS_DATA_DIR": ("/data", Path("/data")),
    "ANALYTICS_LANDING_URL": ("s3://landing", "s3://landing"),
    "ANALYTICS_LANDING_SETTLE_SECONDS": ("2.5", 2.5),
    "ANALYTICS_LANDING_STORAGE_OPTIONS": ('{"endpoint_url": "http://s3"}', {"endpoint_url": "http://s3"}),
    "ANALYTICS_OUTBOUND_URL": ("s3://outbound", "s3://outbound"),
    "ANALYTICS_REPORTS_URL": ("s3://reports", "s3://reports"),
    "ANALYTICS_REPORTS_WEB_URL": ("https://reports", "https://reports"),
    "ANALYTICS_WAREHOUSE_LOCK_TIMEOUT": ("12.5", 12.5),
    "ANALYTICS_WAREHOUSE_WRITERS": ("2", 2),
    "ANALYTICS_ALERTS_FILE": ("/etc/alerts.yaml", Path("/etc/alerts.yaml")),
    "ANALYTICS_SLACK_CHANNEL": ("#data", "#data"),
    "ANALYTICS_SLACK_WEBHOOKS": ('{"finance": "https://hook"}', {"finance": SecretStr("https://hook")}),
    "ANALYTICS_SLACK_API_URL": ("http://127.0.0.1:1/api/", "http://127.0.0.1:1/api/"),
    "ANALYTICS_PAGERDUTY_KEYS": ('{"on_call": "key"}', {"on_call": SecretStr("key")}),
    "ANALYTICS_PAGERDUTY_URL": ("http://127.0.0.1:1/enqueue", "http://127.0.0.1:1/enqueue"),
    "ANALYTICS_MAIL_FROM": ("dagster@example.com", "dagster@example.com"),
    "ANALYTICS_ALERT_TIMEOUT": ("5", 5.0),
    "ANALYTICS_WAITING_ALERT_HOURS": ("0.5", 0.5),
    "ANALYTICS_COMMIT": ("0123abc", "0123abc"),
    "ANALYTICS_WEBSERVER_URL": ("https://dagster", "https://dagster"),
    "DAGSTER_IS_DEV_CLI": ("1", True),
    "DAGSTER_HOME": ("/home/of/dagster", Path("/home/of/dagster")),
}
SECRETS = {"ANALYTICS_SLACK_TOKEN", "ANALYTICS_SMTP_URL"}


def test_the_defaults_are_a_laptop_with_the_bundled_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.environment is Environment.DEV
    assert settings.project_dir == CHECKOUT / "dbt_project"
    assert settings.local_data_dir == CHECKOUT / "data"
    assert settings.home == CHECKOUT / ".dagster_home"
    assert settings.landing == str(CHECKOUT / "data" / "landing")
    assert settings.outbound == str(CHECKOUT / "data" / "outbound")
    assert settings.reports == str(CHECKOUT / "data" / "reports")
    assert settings.time_zone == "UTC"
    assert settings.cron == {}
    assert settings.schedule_groups_file is None
    assert not settings.automation_is_on
    assert not settings.unit_tests
    assert not settings.is_dev_cli
    assert settings.slack_token is None


def test_each_field_has_its_variable_in_this_table() -> None:
    assert {variable_name(field) for field in Settings.model_fields} == VALUES.keys() | SECRETS


@pytest.mark.parametrize("variable", VALUES)
def test_each_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    value, expected = VALUES[variable]
    monkeypatch.setenv(variable, value)
    settings = load_settings()
    field = next(field for field in Settings.model_fields if variable_name(field) == variable)
    assert getattr(settings, field) == expected
    assert getattr(Settings.model_construct(), field) != expected, "the table is to hold a value beside the default"


@pytest.mark.parametrize("variable", sorted(VALUES.keys() | SECRETS))
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    without = load_settings()
    monkeypatch.setenv(variable, "")
    assert load_settings() == without


def test_a_groups_cron_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_CRON__HOURLY", "15 * * * *")
    monkeypatch.setenv("ANALYTICS_CRON__NIGHTLY", "0 3 * * *")
    assert load_settings().cron == {"hourly": "15 * * * *", "nightly": "0 3 * * *"}


def test_the_dbt_project_is_found_in_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert load_settings().project_dir == tmp_path


def test_a_folder_dbt_project_comes_before_the_folder_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").touch()
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project" / "dbt_project.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert load_settings().project_dir == tmp_path / "dbt_project"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANALYTICS_ENVIRONMENT", "production"),
        ("ANALYTICS_CRON", "15 * * * *"),
        ("ANALYTICS_CRON", '{"hourly": 5}'),
        ("ANALYTICS_TIME_ZONE", "Mars/Olympus_Mons"),
        ("ANALYTICS_TIME_ZONE", "../../etc/passwd"),
        ("ANALYTICS_TIME_ZONE", "Europe"),
        ("ANALYTICS_SCHEDULES_RUNNING", "perhaps"),
        ("ANALYTICS_UNIT_TESTS", "perhaps"),
        ("ANALYTICS_LANDING_SETTLE_SECONDS", "-1"),
        ("ANALYTICS_LANDING_STORAGE_OPTIONS", '{"secret": "hunter2"'),
        ("ANALYTICS_LANDING_STORAGE_OPTIONS", '{"secret": {"nested": "hunter2"}}'),
        ("ANALYTICS_LANDING_STORAGE_OPTIONS", '["hunter2"]'),
        ("ANALYTICS_WAREHOUSE_LOCK_TIMEOUT", "0"),
        ("ANALYTICS_WAREHOUSE_LOCK_TIMEOUT", "soon"),
        ("DAGSTER_IS_DEV_CLI", "perhaps"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_variable_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ANALYTICS_SLACK_TOKEN", SECRET)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert variable in raised.value.problem
    assert raised.value.remedy
    assert SECRET not in str(raised.value)


def test_all_invalid_variables_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_ENVIRONMENT", "production")
    monkeypatch.setenv("ANALYTICS_TIME_ZONE", "Mars/Olympus_Mons")
    with pytest.raises(SettingsError, match=r"(?s)ANALYTICS_ENVIRONMENT.*ANALYTICS_TIME_ZONE"):
        load_settings()


def test_an_unknown_time_zone_is_an_error_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_TIME_ZONE", "Mars/Olympus_Mons")
    with pytest.raises(SettingsError, match=r"Mars/Olympus_Mons.*Europe/Berlin"):
        load_settings()


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_SLACK_TOKEN", SECRET)
    monkeypatch.setenv("ANALYTICS_LANDING_STORAGE_OPTIONS", f'{{"secret": "{SECRET}"}}')
    settings = load_settings()
    assert settings.slack_token is not None
    assert settings.slack_token.get_secret_value() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.time_zone = "Europe/Berlin"  # type: ignore[misc] # assigning must fail


@pytest.mark.parametrize(
    ("environment", "target", "expected"),
    [
        ("dev", None, None),
        ("dev", "server", "server"),
        ("staging", None, "staging"),
        ("staging", "server", "server"),
        ("prod", None, "prod"),
        ("prod", "server", "server"),
    ],
)
def test_only_dev_uses_the_profiles_default_target(environment: str, target: str | None, expected: str | None) -> None:
    assert Settings(environment=Environment(environment), dbt_target=target).target_name == expected


@pytest.mark.parametrize(
    ("environment", "running", "is_on"),
    [
        ("dev", None, False),
        ("staging", None, False),
        ("prod", None, True),
        ("dev", True, True),
        ("prod", False, False),
    ],
)
def test_automation_is_on_only_in_production_by_default(environment: str, running: bool | None, is_on: bool) -> None:  # noqa: FBT001 - a table
    assert Settings(environment=Environment(environment), schedules_running=running).automation_is_on is is_on


def test_missing_variables_are_in_order_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY_PRESENT", "")
    assert missing_variables(["LIBRARY_B", "LIBRARY_PRESENT", "LIBRARY_A", "LIBRARY_B"]) == ["LIBRARY_B", "LIBRARY_A"]


def test_dagsters_home_is_set_for_dagster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "elsewhere")
    set_dagster_home(tmp_path)
    assert load_settings().home == tmp_path


def test_only_the_settings_read_the_environment() -> None:
    # Allowed: defaults for variables of libraries, the environment that the dbt worker gets from the run, and the
    # switch of the guard, which modules without settings use.
    reads = re.compile(r"os\.environ|os\.getenv|from os import .*\b(environ|getenv)\b")
    package = CHECKOUT / "analytics_dagster"
    found = {
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name != "settings.py"
        for line in path.read_text().splitlines()
        if reads.search(line)
    }
    allowed = re.compile(
        r": os\.environ\.(setdefault\(\"(?!ANALYTICS_)|clear\(\)|update\(request\[)"
        r"|^dagster_internals/guard\.py: .*NO_INTERNALS"
    )
    assert all(allowed.search(line) for line in found), found
