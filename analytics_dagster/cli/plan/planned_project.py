"""A dbt project with its schedule groups and plan, for the commands that print, explain or run it."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_dagster.assets.keys import check_asset_keys
from analytics_dagster.errors import ProfileError
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.files import find_project
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Announce, Project, load_or_placeholder
from analytics_dagster.settings import Settings


@dataclass(frozen=True)
class PlannedProject:
    """A dbt project, its schedule groups and its plan; ``profile_error`` says why its profile could not be used."""

    project: Project
    groups: ScheduleGroups
    graph: Graph
    plan: Plan
    profile_error: ProfileError | None = None

    def name(self, unique_id: str) -> str:
        """Return the short name of a node, test or source; with the version of a versioned model."""
        if unique_id in self.graph.sources:
            source = self.graph.sources[unique_id]
            return f"{source['source_name']}.{source['name']}"
        node = self.graph.nodes.get(unique_id)
        if node is None:
            return unique_id.split(".", 2)[-1]
        return f"{node['name']}.v{node['version']}" if node.get("version") is not None else str(node["name"])

    def selecting(self, node: str) -> tuple[ScheduleGroup, ...]:
        """Return the groups whose selection names a node, in the order of the file."""
        return tuple(group for group in self.groups.groups if node in group.named(self.project.selected))


def plan_project(settings: Settings, announce: Announce) -> PlannedProject:
    """Prepare the project if needed, and return its plan with any problems.

    Needs no warehouse: if the profile can't be used, dbt parses with a placeholder. Raises `AnalyticsError`.
    """
    groups = load_groups(settings)
    project, reason = load_or_placeholder(find_project(settings), groups.selections, announce)
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest)
    return PlannedProject(project, groups, Graph(project.manifest), plan, reason)
