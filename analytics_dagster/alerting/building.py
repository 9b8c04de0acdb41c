"""The sensor of alerts, and all that it needs of a location."""

from __future__ import annotations

import time
from collections.abc import Mapping

import dagster as dg

from analytics_dagster.alerting.channels import build_posts
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.instigators import instigator_names
from analytics_dagster.alerting.lookout import Lookout, Site
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routes_file import load_routes
from analytics_dagster.alerting.sensor import build_alerts_sensor
from analytics_dagster.alerting.state import Memory
from analytics_dagster.execution.failures.attach import Reporter
from analytics_dagster.planning.groups import ScheduleGroup
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.loading import Project
from analytics_dagster.settings import Settings


class Alerting:
    """All that alerts need of a location: its routes, the catalog of its assets, and when its schedules tick."""

    def __init__(self, settings: Settings, project: Project, plan: Plan, reporter: Reporter) -> None:
        """Raise `AlertError` where the routes, or what they need, can't be used."""
        self.settings = settings
        self.routes: Routes = load_routes(settings)
        self._project = project
        self._reporter = reporter
        self._groups = [one.group for one in plan.groups if one.group.cron and not one.is_empty]

    @property
    def definitions(self) -> dg.Definitions:
        """The sensor of alerts; on where schedules and sensors are."""
        running = self.settings.automation_is_on
        status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        return dg.Definitions(sensors=[build_alerts_sensor(self.lookout, status)])

    @property
    def schedules(self) -> Mapping[str, ScheduleGroup]:
        """The groups that have a schedule, by the schedule's name."""
        return {f"{group.name}_schedule": group for group in self._groups}

    def site(self, repository: dg.RepositoryDefinition | None, location: str | None) -> Site:
        """Return what is looked at: a location, by what it defines and by its name, as far as they are known."""
        return Site(
            project=self._project.name,
            place=self._reporter.place,
            routes=self.routes,
            catalog=lambda: self._reporter.catalog(repository),
            schedules=self.schedules,
            instigators=tuple(instigator_names(repository)) if repository else (),
            name=location,
        )

    def delivery(self, site: Site, memory: Memory) -> Delivery:
        """Return what sends the letters."""
        return Delivery(
            posts=build_posts(self.settings, self.routes, source=f"{site.project} in {site.place.environment}"),
            memory=memory,
            digests=[name for name, channel in self.routes.channels.items() if channel.digest],
            secrets=site.place.secrets,
        )

    def lookout(
        self, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition | None, location: str | None
    ) -> Lookout:
        """Return what looks at an instance, now."""
        site = self.site(repository, location)
        memory = Memory(instance.daemon_cursor_storage, site.project)
        return Lookout(instance, site, memory, self.delivery(site, memory), time.time())


def build_alerting(settings: Settings, project: Project, plan: Plan, reporter: Reporter) -> dg.Definitions:
    """Return the sensor that tells people of failures.

    Raises `AlertError` where the routes can't be used, or a channel is half set up.
    """
    return Alerting(settings, project, plan, reporter).definitions
