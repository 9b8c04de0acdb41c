"""What runs when: jobs, schedules, sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.after_ingestion import build_after_ingestion_sensor
from analytics_dagster.automation.dead_runs import build_dead_runs_sensor
from analytics_dagster.automation.due_runs import build_due_runs_sensor
from analytics_dagster.automation.jobs import build_group_job, build_ingestion_job
from analytics_dagster.automation.landing_sensor import build_landing_sensor
from analytics_dagster.automation.retries import build_retries_sensor
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.automation.situation import Order, OrderedGroup
from analytics_dagster.consumers import Consumers
from analytics_dagster.failures.reading import Place
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.settings import Settings
from analytics_dagster.transform import Transform
from analytics_dagster.transform.plan import Plan

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob


def build_automation(  # noqa: PLR0913 - the parts that it connects, and two words on them
    settings: Settings,
    plan: Plan,
    transform: Transform,
    ingestion: Ingestion,
    consumers: Consumers,
    *,
    project: str,
    executor: dg.ExecutorDefinition | None = None,
) -> dg.Definitions:
    """Return the jobs, schedules and sensors of ingestion and of every schedule group, in the order of their runs.

    ``project`` is the name of the dbt project: runs are tagged with it, and notes kept under it. ``executor`` is that
    of the jobs, where the location has none for all of its jobs.
    """
    order = build_order(settings, plan, transform, project)
    jobs = {name: _group_job(name, plan, transform, consumers, project, executor) for name in order.groups}
    schedules = [build_schedule(name, job, order) for name, job in jobs.items()]
    sensors = [build_dead_runs_sensor()]
    if any(ordered.group.retries for ordered in order.groups.values()):
        sensors.append(build_retries_sensor(list(jobs.values()), order, Place()))
    after = [jobs[name] for name, ordered in order.groups.items() if ordered.group.after_ingestion]
    if after or any(ordered.before for ordered in order.groups.values()):
        sensors.append(build_due_runs_sensor(list(jobs.values()), order))
    definitions = dg.Definitions(
        jobs=list(jobs.values()), schedules=[one for one in schedules if one is not None], sensors=sensors
    )
    return dg.Definitions.merge(_ingestion(settings, ingestion, after, order, executor), definitions)


def build_order(settings: Settings, plan: Plan, transform: Transform, project: str) -> Order:
    """Return the groups that have anything to run, upstream first, and which of them run before which.

    It is computed once, when the location is loaded: a tick walks through no manifest.
    """
    plans = {one.group.name: one for one in plan.groups if not one.is_empty}
    groups = {
        name: OrderedGroup(
            group=one.group,
            assets=frozenset(transform.nodes[node] for node in one.nodes),
            before=tuple(before for before in plan.before(name) if before in plans),
        )
        for name, one in plans.items()
    }
    return Order(project, groups, running=settings.automation_is_on)


def _group_job(
    name: str,
    plan: Plan,
    transform: Transform,
    consumers: Consumers,
    project: str,
    executor: dg.ExecutorDefinition | None,
) -> AssetJob:
    one = plan.by_name[name]
    return build_group_job(
        one.group,
        project=project,
        nodes=transform.assets_of(one),
        checks=transform.checks_of(one),
        consumers=consumers.started_with.get(name, ()),
        executor=executor,
    )


def _ingestion(
    settings: Settings,
    ingestion: Ingestion,
    after: list[AssetJob],
    order: Order,
    executor: dg.ExecutorDefinition | None,
) -> dg.Definitions:
    if not ingestion.tables:
        return dg.Definitions()
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_is_on else dg.DefaultSensorStatus.STOPPED
    job = build_ingestion_job(list(ingestion.keys.values()), ingestion.checks, executor)
    sensors = [
        build_landing_sensor(
            ingestion.tables, ingestion.landing, job=job, asset_keys=ingestion.keys, default_status=status
        )
    ]
    if after:
        sensors.append(build_after_ingestion_sensor(job, after, order, status))
    return dg.Definitions(jobs=[job], sensors=sensors)
