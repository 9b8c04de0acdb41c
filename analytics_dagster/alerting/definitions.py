"""Builds the alerts sensor and the `slack` resource of a code location."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import chain

import dagster as dg

from analytics_dagster.alerting.dispatch import Dispatcher
from analytics_dagster.alerting.health import observe_overdue
from analytics_dagster.alerting.incidents import Observation
from analytics_dagster.alerting.instigators import SENSOR, instigator_names
from analytics_dagster.alerting.monitor import AlertMonitor, LocationContext
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertStore, BusyError
from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.overdue_runs import find_overdue
from analytics_dagster.automation.run_order import AutomatedGroups
from analytics_dagster.errors import AlertError
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.loading import Project
from analytics_dagster.settings import Settings

SLACK = "slack"
"""The key of the Slack resource."""


class Alerting:
    """Builds what alerts need from the parts of a location."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        plan: Plan,
        report_reader: ReportReader,
        automated: AutomatedGroups | None = None,
    ) -> None:
        """Take the groups (``automated``) whose waiting runs are monitored.

        Raises `AlertError` if the routes cannot be used, or lack settings that they need.
        """
        self._automated = automated
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
        return dg.Definitions(sensors=[build_alerts_sensor(self.sensor_monitor, status)])

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
            subjects=lambda: defined_subjects(repository) if repository else None,
            observe_overdue=partial(self._observe_overdue, name),
        )

    def _observe_overdue(self, location: str | None, instance: dg.DagsterInstance) -> Observation:
        groups, limit = self._automated, timedelta(hours=self._settings.waiting_alert_hours)
        if groups is None:
            return Observation(0.0)
        overdue = find_overdue(InstanceSnapshot(instance, groups, location=location), limit)
        return observe_overdue(overdue, groups.by_name, limit)

    def store(self, instance: dg.DagsterInstance) -> AlertStore:
        """Return the store of the location's alerts."""
        return AlertStore(instance.daemon_cursor_storage, self._project.name)

    def monitor(self, instance: dg.DagsterInstance, context: LocationContext) -> AlertMonitor:
        """Return the monitor for one tick, now."""
        store = self.store(instance)
        dispatcher = Dispatcher.build(self._settings, self._routes, context.deployment, store, context.project)
        return AlertMonitor(instance, context, dispatcher)

    def sensor_monitor(self, context: dg.SensorEvaluationContext) -> AlertMonitor:
        """Return the monitor for a tick of the sensor."""
        origin = context.code_location_origin
        name = origin.location_name if origin else None
        return self.monitor(context.instance, self.context(context.repository_def, name))


def defined_subjects(repository: dg.RepositoryDefinition) -> frozenset[str]:
    """Return what a location defines, as subjects of alerts."""
    graph, names = repository.asset_graph, [*repository.job_names, AD_HOC]
    assets = (f"asset:{key.to_user_string()}" for key in graph.get_all_asset_keys())
    checks = (f"check:{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys)
    schedules = (f"schedule:{one.name}" for one in repository.schedule_defs)
    sensors = (f"sensor:{one.name}" for one in repository.sensor_defs)
    return frozenset(chain(assets, checks, schedules, sensors, (f"job:{name}" for name in names)))


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
    make_monitor: Callable[[dg.SensorEvaluationContext], AlertMonitor], default_status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Return the sensor; ``make_monitor`` returns the monitor for a tick."""

    @dg.sensor(
        name=SENSOR,
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Notifies owners of failed runs, checks, sensors and schedules: on failure and on recovery.",
    )
    def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        monitor = make_monitor(context)
        dispatcher = monitor.dispatcher
        try:
            with dispatcher.store.lease(SENSOR):
                state = monitor.tick()
        except BusyError as error:
            return dg.SkipReason(error.problem)
        for line in dispatcher.failed:
            context.log.warning(line)
        lost = [one.notification for one in state.undeliverable if not one.is_reported]
        if lost:
            # The tick fails, so that the UI shows it. Everything is stored, and other channels are told.
            raise AlertError(
                "\n".join(f"Not delivered to {one.channel}: {one.content.headline}: {one.error}" for one in lost),
                remedy="Correct the channel; `analytics-dagster alerts` lists what was not delivered.",
            )
        return dg.SkipReason("; ".join([*dispatcher.sent, *dispatcher.failed])[:2_000] or "Nothing to send.")

    return alerts_sensor
