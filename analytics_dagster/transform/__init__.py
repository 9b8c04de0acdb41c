"""dbt in Dagster: which node runs when, how it looks, and the assets that build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import dagster as dg

from analytics_dagster.project import Project
from analytics_dagster.settings import Settings
from analytics_dagster.transform.assets import build_exposure_specs, build_group_assets
from analytics_dagster.transform.dbt_resource import DbtResource, dbt_executable
from analytics_dagster.transform.plan import Plan, with_checked_nodes
from analytics_dagster.transform.translator import Translator, dagster_owner
from analytics_dagster.warehouse import build_warehouse


@dataclass(frozen=True)
class Transform:
    """The dbt part of the location, and what the other parts need of it: asset and check keys by dbt unique id."""

    definitions: dg.Definitions
    sources: Mapping[str, dg.AssetSpec]
    nodes: Mapping[str, dg.AssetKey]
    checks: Mapping[str, dg.AssetCheckSpec]


def build_transform(settings: Settings, project: Project, plan: Plan) -> Transform:
    """Return the assets, checks, exposures and resources of a dbt project; sources are left to who loads them."""
    project = replace(project, manifest=with_checked_nodes(project.manifest, plan))
    translator = Translator(plan)
    specs = {
        unique_id: translator.get_asset_spec(project.manifest, unique_id, project.dbt)
        for unique_id in [*project.manifest["sources"], *plan.group_of]
    }
    checks = {
        unique_id: translator.get_asset_check_spec(specs[test.node], project.manifest, unique_id, project.dbt)
        for unique_id, test in plan.tests.items()
    }
    keys = {unique_id: spec.key for unique_id, spec in specs.items()}
    warehouse = build_warehouse(project.target, project.directory, lock_timeout=settings.warehouse_lock_timeout)
    definitions = dg.Definitions(
        assets=[
            *build_group_assets(project, plan, translator, specs, checks, unit_tests=settings.unit_tests),
            *build_exposure_specs(project, keys, dagster_owner),
        ],
        resources={
            "dbt": DbtResource(
                project_dir=str(project.directory),
                profiles_dir=str(project.target.profiles_dir),
                profile=project.target.profile,
                target=project.target.name,
                dbt_executable=dbt_executable(),
                with_adapter=not warehouse.path,
            ),
            "warehouse": warehouse,
        },
    )
    return Transform(
        definitions=definitions,
        sources={unique_id: specs[unique_id] for unique_id in project.manifest["sources"]},
        nodes={unique_id: keys[unique_id] for unique_id in plan.group_of},
        checks=checks,
    )
