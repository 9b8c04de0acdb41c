"""dbt in Dagster: which node runs when, how it looks, and the assets that build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from analytics_dagster.project import Project
from analytics_dagster.settings import Settings
from analytics_dagster.transform.assets import build_exposure_specs, build_group_assets
from analytics_dagster.transform.checks import build_check_specs
from analytics_dagster.transform.dbt_resource import DbtResource, dbt_executable, when_to_count
from analytics_dagster.transform.execution import Assets
from analytics_dagster.transform.graph import Graph
from analytics_dagster.transform.keys import asset_keys, project_key, same_assets
from analytics_dagster.transform.plan import GroupPlan, Plan
from analytics_dagster.transform.translator import Translator, dagster_owner
from analytics_dagster.warehouse import build_warehouse


@dataclass(frozen=True)
class Transform:
    """The dbt part of the location, and what the other parts need of it: asset and check keys by dbt unique id.

    ``sources`` are those that are assets of their own: not the ones which are a built node under another name.
    ``checks`` are those of every data test, and of the unit tests where runs are to execute them.
    """

    definitions: dg.Definitions
    sources: Mapping[str, dg.AssetSpec]
    nodes: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckSpec]
    dbt: DbtResource
    assets: Assets

    def assets_of(self, group: GroupPlan) -> list[dg.AssetKey]:
        """Return the assets that a run of a group builds: its own, and those of others that it refreshes."""
        return [self.nodes[node] for node in (*group.nodes, *group.refreshes)]

    def checks_of(self, group: GroupPlan) -> list[dg.AssetCheckKey]:
        """Return the checks that a run of a group evaluates."""
        tests = (*(test.unique_id for test in group.tests), *group.refreshed_tests, *group.unit_tests)
        return [self.checks[test].key for test in tests if test in self.checks]


def build_transform(settings: Settings, project: Project, plan: Plan) -> Transform:
    """Return the assets, checks, exposures and resources of a dbt project; sources are left to who loads them."""
    graph = Graph(project.manifest)
    keys = asset_keys(project.manifest, graph)
    merged = same_assets(keys, graph)
    translator = Translator(plan, graph, keys)
    # In the order in which they are built: the translator asks for all that a node reads, and so never goes deep.
    nodes = sorted(plan.group_of, key=graph.position.__getitem__)
    specs = {
        unique_id: translator.get_asset_spec(project.manifest, unique_id, project.dbt)
        for unique_id in [*(source for source in project.manifest["sources"] if source not in merged), *nodes]
    }
    checks = build_check_specs(plan, graph, project.manifest, keys, unit_tests=settings.unit_tests)
    assets = Assets(
        project=project,
        graph=graph,
        variables=settings.dbt_vars,
        groups={group.group.name: group.group for group in plan.groups},
        group_of=plan.group_of,
        keys=keys,
        checks={unique_id: check.key for unique_id, check in checks.items()},
    )
    warehouse = build_warehouse(project.target, project.directory, lock_timeout=settings.warehouse_lock_timeout)
    dbt = DbtResource(
        project_dir=str(project.directory),
        profiles_dir=str(project.target.profiles_dir),
        profile=project.target.profile,
        target=project.target.name,
        dbt_executable=dbt_executable(),
        with_adapter=not warehouse.path,
        runner=settings.dbt_runner.value,
        artifacts_days=settings.dbt_artifacts_days,
        row_counts=when_to_count(warehouse).value,
    )
    definitions = dg.Definitions(
        assets=[
            *build_group_assets(plan, graph, assets, specs, checks),
            *build_exposure_specs(project, keys, dagster_owner),
            *_project_specs(project, plan),
        ],
        resources={"dbt": dbt, "warehouse": warehouse},
    )
    return Transform(
        definitions=definitions,
        sources={unique_id: spec for unique_id, spec in specs.items() if unique_id in graph.sources},
        nodes={unique_id: keys[unique_id] for unique_id in plan.group_of},
        checks=checks,
        dbt=dbt,
        assets=assets,
    )


def _project_specs(project: Project, plan: Plan) -> list[dg.AssetSpec]:
    """Return an asset for the project itself, if there is a test that has nothing else to be a check of."""
    if all(test.node is not None for test in plan.tests.values()):
        return []
    return [
        dg.AssetSpec(
            key=project_key(project.manifest),
            description="The dbt project itself: tests that read none of its nodes and sources are checks of it.",
            group_name="project",
            kinds={"dbt"},
        )
    ]
