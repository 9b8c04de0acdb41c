"""dbt in Dagster: which node runs when, how it looks, and the assets that build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

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
from analytics_dagster.warehouse import Warehouse, build_warehouse
from analytics_dagster.warehouse.folder import reports_folder


@dataclass(frozen=True)
class DbtAssets:
    """The dbt part of the location, and what the other parts need of it: asset and check keys by dbt unique id.

    ``sources`` are those that are assets of their own: not the ones which are a built node under another name.
    ``checks`` are those of every data test, and of the unit tests where runs are to execute them. ``docs`` is dbt's
    documentation, if a group asks for it.
    """

    definitions: dg.Definitions
    sources: Mapping[str, dg.AssetSpec]
    nodes: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckSpec]
    builds: Builds
    docs: Docs | None

    @property
    def paths(self) -> Mapping[dg.AssetKey, str]:
        """Where the file of each node lies."""
        return {self.nodes[node]: path for node, path in self.builds.dbt_definitions.paths.items()}

    @property
    def dbt(self) -> DbtResource:
        """What calls dbt."""
        return self.builds.dbt

    @property
    def assets(self) -> BuildContext:
        """What every build needs to know."""
        return self.builds.assets

    def assets_of(self, group: GroupPlan) -> list[dg.AssetKey]:
        """Return the assets that a run of a group makes: its own, those of others that it refreshes, and the docs."""
        docs = [self.docs.key] if self.docs is not None and group.group.docs else []
        return [*(self.nodes[node] for node in (*group.nodes, *group.refreshes)), *docs]

    def checks_of(self, group: GroupPlan) -> list[dg.AssetCheckKey]:
        """Return the checks that a run of a group evaluates."""
        tests = (*(test.unique_id for test in group.tests), *group.refreshed_tests, *group.unit_tests)
        return [self.checks[test].key for test in tests if test in self.checks]


@dataclass(frozen=True)
class Builds:
    """What only those need who build: it is made when it is first asked for."""

    settings: Settings
    project: Project
    dbt_definitions: DbtDefinitions
    dbt: DbtResource
    warehouse: Warehouse

    @cached_property
    def assets(self) -> BuildContext:
        """What every build needs to know."""
        return BuildContext(
            project=self.project,
            graph=Graph(self.project.manifest),
            variables=self.settings.dbt_vars,
            groups={part.group.name: part.group for part in self.dbt_definitions.plan.groups},
            group_of=self.dbt_definitions.plan.group_of,
            keys=self.dbt_definitions.keys,
            checks={unique_id: check.key for unique_id, check in self.dbt_definitions.checks.items()},
        )


def build_dbt_assets(settings: Settings, project: Project, dbt_definitions: DbtDefinitions) -> DbtAssets:
    """Return the assets, checks, exposures and resources of a dbt project; sources are left to who loads them."""
    docs = find_docs(project.name, reports_folder(settings), dbt_definitions)
    dbt_definitions = with_links(dbt_definitions, docs)
    builds = Builds(
        settings=settings,
        project=project,
        dbt_definitions=dbt_definitions,
        dbt=DbtResource(
            project_dir=str(project.directory),
            profiles_dir=str(project.target.profiles_dir),
            profile=project.target.profile,
            target=project.target.name,
            runner=settings.dbt_runner.value,
            artifacts=settings.dbt_artifacts.value,
            artifacts_days=settings.dbt_artifacts_days,
        ),
        warehouse=build_warehouse(project.target, project.directory, lock_timeout=settings.warehouse_lock_timeout),
    )
    return DbtAssets(
        definitions=dg.Definitions(
            assets=[
                *build_group_assets(
                    dbt_definitions.steps, dbt_definitions.nodes, dbt_definitions.checks, lambda: builds.assets
                ),
                *dbt_definitions.others,
                *([] if docs is None else [build_docs_asset(docs, lambda: builds.assets)]),
            ],
            resources={"dbt": builds.dbt, "warehouse": builds.warehouse},
        ),
        sources=dbt_definitions.sources,
        nodes={unique_id: dbt_definitions.keys[unique_id] for unique_id in dbt_definitions.plan.group_of},
        checks=dbt_definitions.checks,
        builds=builds,
        docs=docs,
    )
