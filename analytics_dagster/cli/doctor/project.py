"""Checks the dbt project: its target, manifest, schedule groups and time zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from analytics_dagster.assets.keys import check_asset_keys
from analytics_dagster.cli.doctor.result import Check, CheckResult
from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import Project, load_project
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Environment, Settings

PROJECT = Check("dbt project")
MANIFEST = Check("manifest")
GROUPS = Check("schedule groups")
ZONES = Check("time zones")


def check_target(settings: Settings, target: Target) -> CheckResult:
    """Return which project and target are used."""
    profile = f"profile {target.profile} in {target.profiles_dir}"
    return PROJECT.ok(f"{settings.project_dir}, target {target.name} ({target.adapter}) of {profile}.")


def check_manifest(settings: Settings, target: Target, groups: ScheduleGroups) -> Iterator[CheckResult]:
    """Yield whether the manifest is up to date and, if it is, the problems and warnings of the plan."""
    try:
        project = load_project(find_project(settings), target, groups.selections)
        metadata = project.manifest["metadata"]
    except ProjectError as error:
        # In development, any command makes it.
        is_dev = settings.environment is Environment.DEV
        yield (MANIFEST.warning if is_dev else MANIFEST.error)(error.problem, error.remedy)
        return
    made = f"made by dbt {metadata.get('dbt_version')}{_age(metadata.get('generated_at'))}"
    yield MANIFEST.ok(f"{project.artifacts}: {made}, up to date.")
    yield from _check_plan(groups, project)


def _age(generated_at: object) -> str:
    try:
        moment = datetime.fromisoformat(str(generated_at).replace("Z", "+00:00"))
    except ValueError:
        return ""
    hours = (datetime.now(tz=timezone.utc) - moment.astimezone(timezone.utc)).total_seconds() / 3600
    return f" {hours:.0f} hours ago" if hours < 48 else f" {hours / 24:.0f} days ago"  # noqa: PLR2004 - two days


def _check_plan(groups: ScheduleGroups, project: Project) -> Iterator[CheckResult]:
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest)
    for problem in plan.problems:
        remedy = f"{problem.remedy} `analytics-dagster plan` lists the nodes."
        yield GROUPS.error(f"{problem.code}: {problem.message}", remedy)
    for warning in plan.warnings:
        yield GROUPS.warning(f"{warning.code}: {warning.message}", warning.remedy)
    if not plan.problems:
        counts = ", ".join(f"{name} ({len(group.nodes)} nodes)" for name, group in plan.by_name.items())
        yield GROUPS.ok(f"{counts}: every node is in one group.")


def check_time_zones(settings: Settings, groups: ScheduleGroups, now: datetime) -> CheckResult:
    """Return the time zones of the schedules, and what time it is there."""
    zones = dict.fromkeys(group.time_zone or settings.time_zone for group in groups.groups if group.cron)
    times = ", ".join(f"{zone} ({now.astimezone(ZoneInfo(zone)):%a %H:%M})" for zone in zones)
    return ZONES.ok(f"Schedules tick in {times}." if times else "No schedule group has a cron.")
