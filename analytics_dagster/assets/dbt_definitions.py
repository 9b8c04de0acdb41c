"""All that is known of the dbt part of the location once dbt has parsed: plan, assets, checks and steps, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.assets.checks import build_check_specs
from analytics_dagster.assets.dbt_assets import GroupStep, build_exposure_specs, plan_steps
from analytics_dagster.assets.keys import PROJECT, asset_keys, project_key, same_assets
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Project


@dataclass(frozen=True)
class DbtDefinitions:
    """What the location is made of, by dbt unique id; nothing of it depends on the machine but paths of files.

    ``sources`` are those that are assets of their own: not the ones which are a built node under another name.
    ``others`` are assets that nothing builds: exposures, and the project itself where it is needed. ``keys`` are of
    everything that is an asset, ``paths`` of the files of nodes, below the dbt project or their package.
    ``manifest_subset`` is what the other parts of the location read of the manifest.
    """

    plan: Plan
    keys: Mapping[str, dg.AssetKey]
    sources: Mapping[str, dg.AssetSpec]
    nodes: Mapping[str, dg.AssetSpec]
    others: tuple[dg.AssetSpec, ...]
    checks: Mapping[str, dg.AssetCheckSpec]
    steps: tuple[GroupStep, ...]
    paths: Mapping[str, str]
    manifest_subset: Mapping[str, Any]


def make_dbt_definitions(
    project: Project, plan: Plan, manifest_subset: Mapping[str, Any], *, unit_tests: bool
) -> DbtDefinitions:
    """Return the facts of a manifest and its plan; unit tests are checks where runs are to execute them."""
    # Imports dagster-dbt, which takes as long as Dagster itself, and which the location can do without.
    from analytics_dagster.assets.translator import Translator, dagster_owner

    manifest = project.manifest
    graph = Graph(manifest)
    keys = asset_keys(manifest, graph)
    merged = same_assets(keys, graph)
    translator = Translator(plan, graph, keys)
    sources = [source for source in manifest["sources"] if source not in merged]
    # In the order in which they are built: the translator asks for all that a node reads, and so never goes deep.
    nodes = sorted(plan.group_of, key=graph.position.__getitem__)
    specs = {unique_id: translator.get_asset_spec(manifest, unique_id, project.dbt) for unique_id in [*sources, *nodes]}
    checks = build_check_specs(plan, graph, manifest, keys, unit_tests=unit_tests)
    return DbtDefinitions(
        plan=plan,
        keys=keys,
        sources={unique_id: specs[unique_id] for unique_id in sources},
        nodes={unique_id: specs[unique_id] for unique_id in nodes},
        others=(*build_exposure_specs(manifest, keys, dagster_owner), *_project_specs(manifest, plan)),
        checks=checks,
        steps=plan_steps(plan, graph, specs, checks),
        paths={unique_id: graph.nodes[unique_id]["original_file_path"] for unique_id in nodes},
        manifest_subset=manifest_subset,
    )


def _project_specs(manifest: Mapping[str, Any], plan: Plan) -> list[dg.AssetSpec]:
    """Return an asset for the project itself, if there is a test that has nothing else to be a check of."""
    if all(test.node is not None for test in plan.tests.values()):
        return []
    return [
        dg.AssetSpec(
            key=project_key(manifest),
            description="The dbt project itself: tests that read none of its nodes and sources are checks of it.",
            group_name=PROJECT,
            kinds={"dbt"},
        )
    ]
