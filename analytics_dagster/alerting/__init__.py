"""Who hears of a failed run: a message to Slack."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.errors import SettingsError
from analytics_dagster.settings import Settings, variable_name


def build_alerting(settings: Settings) -> dg.Definitions:
    """Return the sensor that posts failed runs to Slack, or none where Slack is not set up.

    Raises `SettingsError` where half of what Slack needs is set.
    """
    needed = {"slack_token": settings.slack_token, "slack_channel": settings.slack_channel}
    absent = [variable_name(name) for name, value in needed.items() if value is None]
    if len(absent) == len(needed):
        return dg.Definitions()
    if absent or settings.slack_token is None or settings.slack_channel is None:
        raise SettingsError(
            f"Slack is half set up: {', '.join(absent)} is absent.", remedy="Set it too, or unset the other."
        )
    from dagster_slack import make_slack_on_run_failure_sensor  # noqa: PLC0415 - only where Slack is used

    running = settings.automation_is_on
    sensor: dg.SensorDefinition = make_slack_on_run_failure_sensor(
        channel=settings.slack_channel,
        slack_token=settings.slack_token.get_secret_value(),
        name="slack_on_run_failure",
        webserver_base_url=settings.webserver_url,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )
    return dg.Definitions(sensors=[sensor])
