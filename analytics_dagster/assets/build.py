"""Builds the assets, checks, exposures and resources of a dbt project from its definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import dagster as dg

from analytics_dagster.assets.dbt_assets import build_group_assets
from analytics_dagster.assets.dbt_definitions import DbtDefinitions
from analytics_dagster.assets.docs import Docs, build_docs_asset, find_docs, with_links
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.planning.plan import GroupPlan
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Project
from analytics_dagster.settings import Settings
from analytics_dagster.warehouse import build_warehouse
from analytics_dagster.warehouse.folder import reports_folder


@dataclass(frozen=True)
class DbtAssets:
    """The dbt part of the code location.

    ``definitions`` has no sources: ingestion decides which of them it loads. ``docs`` is None unless a schedule group
    asks for dbt's documentation. ``build_context`` reads the manifest when it is first called.
    """

    definitions: dg.Definitions
    dbt_definitions: DbtDefinitions
    dbt: DbtResource
    docs: Docs | None
    build_context: Callable[[], BuildContext]

    @cached_property
    def nodes(self) -> Mapping[str, dg.AssetKey]:
        """The asset key of each node that dbt builds, by unique id."""
        return {unique_id: spec.key for unique_id, spec in self.dbt_definitions.nodes.items()}

    @property
    def paths(self) -> Mapping[dg.AssetKey, str]:
        """The path of each node's file, by asset key."""
        return {self.nodes[unique_id]: path for unique_id, path in self.dbt_definitions.paths.items()}

    def assets_of(self, group: GroupPlan) -> list[dg.AssetKey]:
        """Return the assets that a run of a group builds: its own, those that it refreshes, and dbt's documentation."""
        docs = [self.docs.key] if self.docs is not None and group.group.docs else []
        return [*(self.nodes[node] for node in (*group.nodes, *group.refreshes)), *docs]

    def checks_of(self, group: GroupPlan) -> list[dg.AssetCheckKey]:
        """Return the checks that a run of a group evaluates."""
        checks = self.dbt_definitions.checks
        tests = (*(test.unique_id for test in group.tests), *group.refreshed_tests, *group.unit_tests)
        return [checks[test].key for test in tests if test in checks]


def build_dbt_assets(settings: Settings, project: Project, dbt_definitions: DbtDefinitions) -> DbtAssets:
    """Return the assets, checks, exposures and resources of a dbt project."""
    docs = find_docs(project.name, reports_folder(settings), dbt_definitions)
    dbt_definitions = with_links(dbt_definitions, docs)
    dbt = DbtResource(
        project_dir=str(project.directory),
        profiles_dir=str(project.target.profiles_dir),
        profile=project.target.profile,
        target=project.target.name,
        runner=settings.dbt_runner.value,
        artifacts=settings.dbt_artifacts.value,
        artifacts_days=settings.dbt_artifacts_days,
    )
    warehouse = build_warehouse(project.target, project.directory, lock_timeout=settings.warehouse_lock_timeout)

    @cache
    def build_context() -> BuildContext:
        return BuildContext(
            project=project,
            graph=Graph(project.manifest),
            variables=settings.dbt_vars,
            groups={part.group.name: part.group for part in dbt_definitions.plan.groups},
            group_of=dbt_definitions.plan.group_of,
            keys=dbt_definitions.keys,
            checks={unique_id: check.key for unique_id, check in dbt_definitions.checks.items()},
        )

    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        *build_group_assets(dbt_definitions.steps, dbt_definitions.nodes, dbt_definitions.checks, build_context),
        *dbt_definitions.others,
        *([] if docs is None else [build_docs_asset(docs, build_context)]),
    ]
    definitions = dg.Definitions(assets=assets, resources={"dbt": dbt, "warehouse": warehouse})
    return DbtAssets(definitions, dbt_definitions, dbt, docs, build_context)
