"""What runs when: jobs, schedules, sensors."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.automation.jobs import build_group_job, build_ingestion_job
from analytics_dagster.automation.landing_sensor import build_after_ingestion_sensor, build_landing_sensor
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.consumers import Consumers
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.settings import Settings
from analytics_dagster.transform import Transform
from analytics_dagster.transform.plan import Plan


def build_automation(
    settings: Settings, plan: Plan, transform: Transform, ingestion: Ingestion, consumers: Consumers
) -> dg.Definitions:
    """Return the jobs, schedules and sensors of ingestion and of every schedule group, in the order of their runs."""
    running = settings.automation_is_on
    jobs = {
        group_plan.group.name: build_group_job(
            group_plan.group.name,
            nodes=[transform.nodes[node] for node in group_plan.nodes],
            checks=[transform.checks[test.unique_id].key for test in group_plan.tests],
            consumers=consumers.started_with.get(group_plan.group.name, ()),
        )
        for group_plan in plan.groups
        if group_plan.nodes or group_plan.tests
    }
    groups = [group_plan.group for group_plan in plan.groups if group_plan.group.name in jobs]
    schedules = [build_schedule(group, jobs[group.name], running=running) for group in groups]
    definitions = dg.Definitions(jobs=list(jobs.values()), schedules=[one for one in schedules if one is not None])
    if not ingestion.tables:
        return definitions
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    ingestion_job = build_ingestion_job(list(ingestion.keys.values()), ingestion.checks)
    sensors = [
        build_landing_sensor(
            ingestion.tables, ingestion.landing, job=ingestion_job, asset_keys=ingestion.keys, default_status=status
        )
    ]
    after = [jobs[group.name] for group in groups if group.after_ingestion]
    if after:
        sensors.append(build_after_ingestion_sensor(ingestion_job, after, status))
    return dg.Definitions.merge(dg.Definitions(jobs=[ingestion_job], sensors=sensors), definitions)
