"""What runs when: jobs, schedules, sensors."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.automation.jobs import build_group_job
from analytics_dagster.automation.schedules import build_schedule
from analytics_dagster.settings import Settings
from analytics_dagster.transform import Transform
from analytics_dagster.transform.plan import Plan


def build_automation(settings: Settings, plan: Plan, transform: Transform) -> dg.Definitions:
    """Return the jobs, schedules and sensors of every schedule group and of ingestion."""
    jobs = {}
    for group_plan in plan.groups:
        if group_plan.nodes or group_plan.tests:
            jobs[group_plan.group.name] = build_group_job(
                group_plan.group.name,
                nodes=[transform.nodes[node] for node in group_plan.nodes],
                checks=[transform.checks[test.unique_id].key for test in group_plan.tests],
                consumers=[],
            )
    schedules = [
        build_schedule(group_plan.group, jobs[group_plan.group.name], running=settings.automation_is_on)
        for group_plan in plan.groups
        if group_plan.group.name in jobs
    ]
    return dg.Definitions(jobs=list(jobs.values()), schedules=[schedule for schedule in schedules if schedule])
