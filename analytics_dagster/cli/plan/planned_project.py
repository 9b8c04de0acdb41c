"""The plan of a dbt project with all that it was made of, for those who print, explain or run it from a terminal."""

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
    """A dbt project, its schedule groups and its plan; ``profile_error`` says why the profile was not used."""

    project: Project
    groups: ScheduleGroups
    graph: Graph
    plan: Plan
    profile_error: ProfileError | None = None

    def name(self, unique_id: str) -> str:
        """Return what people call a node, test or source of the manifest."""
        return name_of(self.graph, unique_id)

    def takers(self, node: str) -> tuple[ScheduleGroup, ...]:
        """Return the groups whose selection names a node, in the order of the file."""
        return tuple(group for group in self.groups.groups if node in self.project.selected[group.selection])


def plan_project(settings: Settings, announce: Announce) -> PlannedProject:
    """Prepare the project where that is needed, and return its plan, whatever problems it has.

    Needs no warehouse: where the profile can't be used, dbt parses with a placeholder. Raises `AnalyticsError`.
    """
    groups = load_groups(settings)
    project, reason = load_or_placeholder(find_project(settings), groups.selections, announce)
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest)
    return PlannedProject(project, groups, Graph(project.manifest), plan, reason)


def name_of(graph: Graph, unique_id: str) -> str:
    """Return what people call a node: its name, with the version of a model that has several, or its source's."""
    if unique_id in graph.sources:
        source = graph.sources[unique_id]
        return f"{source['source_name']}.{source['name']}"
    node = graph.nodes.get(unique_id)
    if node is None:
        return unique_id.split(".", 2)[-1]
    return f"{node['name']}.v{node['version']}" if node.get("version") is not None else str(node["name"])
