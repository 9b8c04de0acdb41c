"""What runs when: jobs, schedules, sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.assets.build import DbtAssets
from analytics_dagster.assets.consumers import Consumers
from analytics_dagster.automation.after_ingestion import build_after_ingestion_sensor
from analytics_dagster.automation.dead_runs import build_dead_runs_sensor
from analytics_dagster.automation.due_runs import build_due_runs_sensor
from analytics_dagster.automation.jobs import INGESTION, PROJECT_TAG, build_group_job, build_ingestion_job
from analytics_dagster.automation.landing_sensor import build_landing_sensor
from analytics_dagster.automation.retries import build_ad_hoc_retries_sensor, build_retries_sensor
from analytics_dagster.automation.retry_policies import RetryPolicies
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.automation.situation import Order, OrderedGroup
from analytics_dagster.execution.failures.attach import Reporter
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.settings import Settings

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob


@dataclass(frozen=True)
class Parts:
    """What the other folders have built, and jobs are made of; ``executor`` is that of our jobs alone."""

    plan: Plan
    dbt_assets: DbtAssets
    ingestion: Ingestion
    consumers: Consumers
    executor: dg.ExecutorDefinition | None = None


def build_automation(
    settings: Settings, parts: Parts, policies: RetryPolicies, reporter: Reporter, *, project: str
) -> dg.Definitions:
    """Return the jobs, schedules and sensors of ingestion and of every schedule group, in the order of their runs.

    ``project`` is the name of the dbt project: runs are tagged with it, and notes kept under it.
    """
    order = build_order(settings, parts.plan, parts.dbt_assets, project)
    jobs = {name: _group_job(name, parts, project) for name in order.groups}
    schedules = [build_schedule(name, job, order) for name, job in jobs.items()]
    loads = _ingestion_job(parts, policies, project)
    sensors = [
        build_dead_runs_sensor(),
        build_retries_sensor([*([loads] if loads else []), *jobs.values()], {PROJECT_TAG: project}, policies, reporter),
        build_ad_hoc_retries_sensor(policies, reporter),
    ]
    after = [jobs[name] for name, ordered in order.groups.items() if ordered.group.after_ingestion]
    if after or any(ordered.before for ordered in order.groups.values()):
        sensors.append(build_due_runs_sensor(list(jobs.values()), order))
    definitions = dg.Definitions(
        jobs=list(jobs.values()), schedules=[one for one in schedules if one is not None], sensors=sensors
    )
    return dg.Definitions.merge(_ingestion(settings, parts.ingestion, loads, after, order), definitions)


def build_policies(groups: ScheduleGroups, parts: Parts) -> RetryPolicies:
    """Return how often each run of the location may be run again."""
    loaded = dict.fromkeys(parts.ingestion.keys.values(), INGESTION)
    started = {key: group for group, keys in parts.consumers.started_with.items() for key in keys}
    built = {parts.dbt_assets.nodes[node]: name for node, name in parts.plan.group_of.items()}
    docs = parts.dbt_assets.docs
    described = {} if docs is None else {docs.key: docs.groups[0]}
    by_name = {group.name: group for group in groups.groups}
    return RetryPolicies(by_name, groups.ingestion, {**loaded, **started, **built, **described})


def build_order(settings: Settings, plan: Plan, dbt_assets: DbtAssets, project: str) -> Order:
    """Return the groups that have anything to run, upstream first, and which of them run before which.

    It is computed once, when the location is loaded: a tick walks through no manifest.
    """
    plans = {one.group.name: one for one in plan.groups if not one.is_empty}
    groups = {
        name: OrderedGroup(
            group=one.group,
            assets=frozenset(dbt_assets.nodes[node] for node in one.nodes),
            before=tuple(before for before in plan.before(name) if before in plans),
        )
        for name, one in plans.items()
    }
    return Order(project, groups, running=settings.automation_is_on)


def _group_job(name: str, parts: Parts, project: str) -> AssetJob:
    one = parts.plan.by_name[name]
    return build_group_job(
        one.group,
        project=project,
        nodes=parts.dbt_assets.assets_of(one),
        checks=parts.dbt_assets.checks_of(one),
        consumers=parts.consumers.started_with.get(name, ()),
        executor=parts.executor,
    )


def _ingestion_job(parts: Parts, policies: RetryPolicies, project: str) -> AssetJob | None:
    ingestion = parts.ingestion
    if not ingestion.tables:
        return None
    tables, checks = list(ingestion.keys.values()), ingestion.checks
    return build_ingestion_job(
        policies.ingestion, project=project, tables=tables, checks=checks, executor=parts.executor
    )


def _ingestion(
    settings: Settings, ingestion: Ingestion, job: AssetJob | None, after: list[AssetJob], order: Order
) -> dg.Definitions:
    if job is None:
        return dg.Definitions()
    status = dg.DefaultSensorStatus.RUNNING if settings.automation_is_on else dg.DefaultSensorStatus.STOPPED
    sensors = [
        build_landing_sensor(
            ingestion.tables, ingestion.landing, job=job, asset_keys=ingestion.keys, default_status=status
        )
    ]
    if after:
        sensors.append(build_after_ingestion_sensor(job, after, order, status))
    return dg.Definitions(jobs=[job], sensors=sensors)
