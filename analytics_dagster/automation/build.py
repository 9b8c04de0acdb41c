"""Builds the jobs, schedules and sensors of a location."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from analytics_dagster.assets.build import DbtAssets
from analytics_dagster.assets.consumers import Consumers
from analytics_dagster.automation.after_ingestion import build_after_ingestion_sensor
from analytics_dagster.automation.dead_runs import build_dead_runs_sensor
from analytics_dagster.automation.jobs import INGESTION, build_group_job, build_ingestion_job
from analytics_dagster.automation.landing_sensor import build_landing_sensor
from analytics_dagster.automation.pending_runs import build_pending_runs_sensor
from analytics_dagster.automation.retry_decision import RetryPolicies
from analytics_dagster.automation.retry_sensors import build_retry_sensors
from analytics_dagster.automation.run_order import AutomatedGroup, AutomatedGroups
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.execution.failures.events import ReportReader
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.settings import Settings


@dataclass(frozen=True)
class Parts:
    """What the other packages built and the jobs run; ``executor`` is for these jobs only, if it is given."""

    plan: Plan
    dbt_assets: DbtAssets
    ingestion: Ingestion
    consumers: Consumers
    executor: dg.ExecutorDefinition | None = None


def build_automation(
    settings: Settings, parts: Parts, groups: AutomatedGroups, policies: RetryPolicies, report_reader: ReportReader
) -> dg.Definitions:
    """Return the jobs, schedules and sensors of ingestion and of every schedule group."""
    project = groups.project
    jobs = {
        name: build_group_job(
            one.group,
            project=project,
            nodes=parts.dbt_assets.assets_of(parts.plan.by_name[name]),
            checks=parts.dbt_assets.checks_of(parts.plan.by_name[name]),
            consumers=parts.consumers.started_with.get(name, ()),
            executor=parts.executor,
        )
        for name, one in groups.by_name.items()
    }
    schedules = [one for name, job in jobs.items() if (one := build_schedule(name, job, groups)) is not None]
    ingestion_job = build_ingestion_job(
        policies.ingestion,
        project=project,
        tables=parts.ingestion.keys.values(),
        checks=parts.ingestion.checks,
        executor=parts.executor,
    )
    all_jobs = [*([ingestion_job] if parts.ingestion.tables else []), *jobs.values()]
    sensors = [build_dead_runs_sensor(project), *build_retry_sensors(all_jobs, project, policies, report_reader)]
    jobs_after = [jobs[name] for name, one in groups.by_name.items() if one.group.after_ingestion]
    if jobs_after or schedules:
        sensors.append(build_pending_runs_sensor(list(jobs.values()), groups))
    if parts.ingestion.tables:
        status = dg.DefaultSensorStatus.RUNNING if settings.automation_is_on else dg.DefaultSensorStatus.STOPPED
        sensors.append(build_landing_sensor(parts.ingestion, job=ingestion_job, default_status=status))
        if jobs_after:
            sensors.append(build_after_ingestion_sensor(ingestion_job, jobs_after, groups, status))
    return dg.Definitions(jobs=all_jobs, schedules=schedules, sensors=sensors)


def build_policies(groups: ScheduleGroups, parts: Parts) -> RetryPolicies:
    """Return the retry policies of the location's runs."""
    assets = dict.fromkeys(parts.ingestion.keys.values(), INGESTION)
    assets |= {key: group for group, keys in parts.consumers.started_with.items() for key in keys}
    assets |= {parts.dbt_assets.nodes[node]: name for node, name in parts.plan.group_of.items()}
    if parts.dbt_assets.docs:
        assets[parts.dbt_assets.docs.key] = parts.dbt_assets.docs.groups[0]
    return RetryPolicies({group.name: group for group in groups.groups}, groups.ingestion, assets)


def order_groups(settings: Settings, plan: Plan, dbt_assets: DbtAssets, project: str) -> AutomatedGroups:
    """Return the groups that have anything to run, upstream first.

    This is computed once, when the location is loaded, so that no tick reads the manifest.
    """
    plans = {one.group.name: one for one in plan.groups if not one.is_empty}
    groups = {
        name: AutomatedGroup(
            group=one.group,
            assets=frozenset(dbt_assets.nodes[node] for node in one.nodes),
            upstream=tuple(upstream for upstream in plan.before(name) if upstream in plans),
        )
        for name, one in plans.items()
    }
    return AutomatedGroups(project, groups, schedules_on=settings.automation_is_on)
