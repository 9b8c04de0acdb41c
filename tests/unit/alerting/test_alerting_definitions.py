"""Who hears of a failed run: nobody, or Slack; never half of it."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import SecretStr

from analytics_dagster.alerting import build_alerting
from analytics_dagster.errors import SettingsError
from analytics_dagster.settings import Environment, Settings

TOKEN = SecretStr("xoxb-hunter2")


def test_without_slack_there_is_no_sensor() -> None:
    assert not build_alerting(Settings()).sensors


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        (Settings(slack_token=TOKEN), "ANALYTICS_SLACK_CHANNEL"),
        (Settings(slack_channel="#data"), "ANALYTICS_SLACK_TOKEN"),
    ],
)
def test_half_of_what_slack_needs_is_an_error_that_names_the_other_half(settings: Settings, absent: str) -> None:
    with pytest.raises(SettingsError, match=f"{absent} is absent") as raised:
        build_alerting(settings)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        (Environment.DEV, dg.DefaultSensorStatus.STOPPED),
        (Environment.PROD, dg.DefaultSensorStatus.RUNNING),
    ],
)
def test_slack_hears_of_failed_runs_by_itself_in_production_alone(
    environment: Environment, status: dg.DefaultSensorStatus
) -> None:
    definitions = build_alerting(Settings(environment=environment, slack_token=TOKEN, slack_channel="#data"))
    sensor = definitions.resolve_sensor_def("slack_on_run_failure")
    assert sensor.default_status is status
