"""Whether the dbt project, its profile, its manifest and the schedule groups can be used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from analytics_dagster.assets.keys import check_asset_keys
from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, of_error, well
from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.project.files import find_project
from analytics_dagster.project.loading import Project, load_project
from analytics_dagster.project.profile import Target
from analytics_dagster.settings import Environment, Settings

PROJECT = "dbt project"
MANIFEST = "manifest"
GROUPS = "schedule groups"
ZONES = "time zones"


def check_target(settings: Settings, target: Target) -> Iterator[Finding]:
    """Yield which project and target are meant."""
    where = target.profiles_dir
    yield well(
        PROJECT,
        f"{settings.project_dir}, target {target.name} ({target.adapter}) of the profile {target.profile} in {where}.",
    )


def check_manifest(settings: Settings, target: Target, groups: ScheduleGroups) -> tuple[Project | None, list[Finding]]:
    """Return the project, if it is as ready as every process but `dagster dev` needs it, and how it stands with it."""
    try:
        project = load_project(find_project(settings), target, groups.selections)
        metadata = project.manifest["metadata"]
    except ProjectError as error:
        if settings.environment is Environment.DEV:
            # Whatever a developer types makes it.
            return None, [doubt(MANIFEST, error.problem, error.remedy)]
        return None, [of_error(MANIFEST, error)]
    made = f"made by dbt {metadata.get('dbt_version')}{_age(metadata.get('generated_at'))}"
    return project, [well(MANIFEST, f"{project.artifacts}: {made}, up to date.")]


def _age(generated_at: object) -> str:
    try:
        moment = datetime.fromisoformat(str(generated_at).replace("Z", "+00:00"))
    except ValueError:
        return ""
    hours = (datetime.now(tz=timezone.utc) - moment.astimezone(timezone.utc)).total_seconds() / 3600
    return f" {hours:.0f} hours ago" if hours < 48 else f" {hours / 24:.0f} days ago"  # noqa: PLR2004 - two days


def check_plan(groups: ScheduleGroups, project: Project) -> Iterator[Finding]:
    """Yield every problem and warning of the plan."""
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest)
    for problem in plan.problems:
        yield ill(GROUPS, f"{problem.code}: {problem.message}", f"{problem.remedy} `analytics-dagster plan` shows it.")
    for warning in plan.warnings:
        yield doubt(GROUPS, f"{warning.code}: {warning.message}", warning.remedy)
    if not plan.problems:
        shown = ", ".join(f"{name} ({len(one.nodes)} nodes)" for name, one in plan.by_name.items())
        yield well(GROUPS, f"{shown}: every node is in one group.")


def check_time_zones(settings: Settings, groups: ScheduleGroups, now: datetime) -> Iterator[Finding]:
    """Yield in which time zones schedules tick, and what time it is there."""
    zones = dict.fromkeys(group.time_zone or settings.time_zone for group in groups.groups if group.cron)
    told = ", ".join(f"{zone} ({now.astimezone(ZoneInfo(zone)):%a %H:%M})" for zone in zones)
    yield well(ZONES, f"Schedules tick in {told}." if told else "No schedule group has a cron.")
