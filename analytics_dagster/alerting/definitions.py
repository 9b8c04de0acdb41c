"""The sensor of alerts, and all that it needs of a location."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import dagster as dg

from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.instigators import instigator_names
from analytics_dagster.alerting.monitor import AlertMonitor, LocationContext
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.store import AlertStore
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.loading import Project
from analytics_dagster.settings import Settings


class Alerting:
    """All that alerts need of a location: its routes, the catalog of its assets, and when its schedules tick."""

    def __init__(self, settings: Settings, project: Project, plan: Plan, report_reader: ReportReader) -> None:
        """Raise `AlertError` where the routes, or what they need, can't be used."""
        self.settings = settings
        self.routes: Routes = load_routes(settings)
        self._project = project
        self._report_reader = report_reader
        self._groups = [one.group for one in plan.groups if one.group.cron and not one.is_empty]

    @property
    def definitions(self) -> dg.Definitions:
        """The sensor of alerts; on where schedules and sensors are."""
        running = self.settings.automation_is_on
        status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        return dg.Definitions(sensors=[build_alerts_sensor(self.monitor, status)])

    @property
    def schedules(self) -> Mapping[str, ScheduleGroup]:
        """The groups that have a schedule, by the schedule's name."""
        return {f"{group.name}_schedule": group for group in self._groups}

    def context(self, repository: dg.RepositoryDefinition | None, location: str | None) -> LocationContext:
        """Return what is looked at: a location, by what it defines and by its name, as far as they are known."""
        return LocationContext(
            project=self._project.name,
            deployment=self._report_reader.deployment,
            routes=self.routes,
            catalog=lambda: self._report_reader.catalog(repository),
            schedules=self.schedules,
            instigators=tuple(instigator_names(repository)) if repository else (),
            name=location,
        )

    def delivery(self, context: LocationContext, store: AlertStore) -> Delivery:
        """Return what sends the letters."""
        return Delivery(
            notifiers=build_notifiers(
                self.settings, self.routes, source=f"{context.project} in {context.deployment.environment}"
            ),
            store=store,
            digests=[name for name, channel in self.routes.channels.items() if channel.digest],
            secrets=context.deployment.secrets,
        )

    def monitor(
        self, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition | None, location: str | None
    ) -> AlertMonitor:
        """Return what looks at an instance, now."""
        context = self.context(repository, location)
        store = AlertStore(instance.daemon_cursor_storage, context.project)
        return AlertMonitor(instance, context, store, self.delivery(context, store), time.time())


def build_alerting(settings: Settings, project: Project, plan: Plan, report_reader: ReportReader) -> dg.Definitions:
    """Return the sensor that tells people of failures.

    Raises `AlertError` where the routes can't be used, or a channel is half set up.
    """
    return Alerting(settings, project, plan, report_reader).definitions


SENSOR = "alerts_sensor"


def build_alerts_sensor(
    make_monitor: Callable[[dg.DagsterInstance, dg.RepositoryDefinition | None, str | None], AlertMonitor],
    default_status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """Return the sensor; ``make_lookout`` gives what looks at an instance, for a location and its name."""

    @dg.sensor(
        name=SENSOR,
        default_status=default_status,
        minimum_interval_seconds=30,
        description="Tells people of what failed, once, until it is over: runs, checks, sensors and schedules.",
    )
    def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        monitor = make_monitor(context.instance, context.repository_def, origin.location_name if origin else None)
        lines = monitor.tick()
        for line in monitor.delivery.failed:
            context.log.warning(line)
        return dg.SkipReason("; ".join(lines)[:2_000] or "There is no news.")

    return alerts_sensor
