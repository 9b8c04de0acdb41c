"""Builds the alerts sensor and the `slack` resource of a code location."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.instigators import instigator_names
from analytics_dagster.alerting.monitor import AlertMonitor, LocationContext
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertStore
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.loading import Project
from analytics_dagster.settings import Settings

SENSOR = "alerts_sensor"
SLACK = "slack"
"""The key of the Slack resource."""


class Alerting:
    """Builds what alerts need from the parts of a location."""

    def __init__(self, settings: Settings, project: Project, plan: Plan, report_reader: ReportReader) -> None:
        """Raise `AlertError` if the routes cannot be used, or lack settings that they need."""
        self._settings = settings
        self._routes = load_routes(settings)
        self._project = project
        self._report_reader = report_reader
        groups = [one.group for one in plan.groups if one.group.cron and not one.is_empty]
        self._schedules = {f"{group.name}_schedule": group for group in groups}

    @property
    def definitions(self) -> dg.Definitions:
        """The alerts sensor."""
        is_on = self._settings.automation_is_on
        status = dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED
        return dg.Definitions(sensors=[build_alerts_sensor(self.monitor, status)])

    def context(self, repository: dg.RepositoryDefinition | None, name: str | None) -> LocationContext:
        """Return the location with its name and what it defines, as far as they are known."""
        return LocationContext(
            project=self._project.name,
            deployment=self._report_reader.deployment,
            routes=self._routes,
            catalog=lambda: self._report_reader.catalog(repository),
            schedules=self._schedules,
            instigators=instigator_names(repository) if repository else (),
            name=name,
        )

    def monitor(
        self, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition | None, name: str | None
    ) -> AlertMonitor:
        """Return the monitor for one tick, now."""
        context = self.context(repository, name)
        store = AlertStore(instance.daemon_cursor_storage, context.project)
        source = f"{context.project} in {context.deployment.environment}"
        notifiers = build_notifiers(self._settings, self._routes, source)
        return AlertMonitor(instance, context, Delivery(notifiers, store, context.deployment.secrets), time.time())


def slack_resources(settings: Settings) -> dict[str, dg.ResourceDefinition]:
    """Return the `slack` resource by its key, if there is a bot token.

    It makes a `dagster_slack.SlackResource` when a step or a sensor needs it: `dagster_slack` takes 60 ms to import.
    """
    token = settings.slack_token.get_secret_value() if settings.slack_token else ""

    def make_slack(_context: dg.InitResourceContext) -> object:
        from analytics_dagster.alerting.channels.slack_resource import SlackApiResource

        return SlackApiResource(token=token, api_url=settings.slack_api_url, timeout=settings.alert_timeout)

    description = "The Slack bot of the alerts, as a `SlackResource`."
    return {SLACK: dg.ResourceDefinition(make_slack, description=description)} if token else {}


def build_alerts_sensor(
    make_monitor: Callable[[dg.DagsterInstance, dg.RepositoryDefinition | None, str | None], AlertMonitor],
    default_status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """Return the sensor; ``make_monitor`` takes the instance, the repository and the location's name."""

    @dg.sensor(
        name=SENSOR,
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Notifies owners of failed runs, checks, sensors and schedules: on failure and on recovery.",
    )
    def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        monitor = make_monitor(context.instance, context.repository_def, origin.location_name if origin else None)
        lines = monitor.tick()
        for line in monitor.delivery.failed:
            context.log.warning(line)
        return dg.SkipReason("; ".join(lines)[:2_000] or "Nothing to send.")

    return alerts_sensor
