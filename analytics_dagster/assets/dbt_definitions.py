"""Everything that the code location needs of a dbt project after parsing, as values: plan, assets, checks and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from analytics_dagster.assets.checks import build_check_specs
from analytics_dagster.assets.exposures import build_exposure_specs
from analytics_dagster.assets.keys import PROJECT, asset_keys, project_key, same_assets
from analytics_dagster.assets.steps import StepSpec, plan_steps
from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Project

if TYPE_CHECKING:
    from analytics_dagster.assets.translator import Translator


@dataclass(frozen=True)
class DbtDefinitions:
    """The parts of the code location by dbt unique id. Only the paths of code references depend on the machine.

    ``keys`` has every asset. ``sources`` has the sources that are assets of their own, not the same asset as a node.
    ``others`` are assets that nothing builds: exposures, and the project itself if a check needs it. ``checks`` has the
    data tests, and the unit tests if runs execute them. ``paths`` are the files of nodes relative to their project or
    package. ``manifest_subset`` is what ingestion and consumers read of the manifest.
    """

    plan: Plan
    keys: Mapping[str, dg.AssetKey]
    sources: Mapping[str, dg.AssetSpec]
    nodes: Mapping[str, dg.AssetSpec]
    others: tuple[dg.AssetSpec, ...]
    checks: Mapping[str, dg.AssetCheckSpec]
    steps: tuple[StepSpec, ...]
    paths: Mapping[str, str]
    manifest_subset: Mapping[str, Any]


def make_dbt_definitions(
    project: Project, plan: Plan, manifest_subset: Mapping[str, Any], *, unit_tests: bool
) -> DbtDefinitions:
    """Return the definitions of a parsed project; ``unit_tests`` says whether runs execute unit tests as checks."""
    # Imports dagster-dbt, which takes as long as Dagster. A load from the cache does not need it.
    from analytics_dagster.assets.translator import Translator

    manifest = project.manifest
    graph = Graph(manifest)
    keys = asset_keys(manifest, graph)
    merged = same_assets(keys, graph)
    translator = Translator(plan, graph, keys)
    sources = [source for source in manifest["sources"] if source not in merged]
    nodes = sorted(plan.group_of, key=graph.position.__getitem__)
    specs = {unique_id: _spec(translator, project, unique_id) for unique_id in [*sources, *nodes]}
    checks = build_check_specs(plan, graph, manifest, keys, unit_tests=unit_tests)
    return DbtDefinitions(
        plan=plan,
        keys=keys,
        sources={unique_id: specs[unique_id] for unique_id in sources},
        nodes={unique_id: specs[unique_id] for unique_id in nodes},
        others=(*build_exposure_specs(manifest, graph, keys), *_project_specs(manifest, plan)),
        checks=checks,
        steps=plan_steps(plan, graph, specs, checks),
        paths={unique_id: graph.nodes[unique_id]["original_file_path"] for unique_id in nodes},
        manifest_subset=manifest_subset,
    )


def _spec(translator: Translator, project: Project, unique_id: str) -> dg.AssetSpec:
    try:
        return translator.get_asset_spec(project.manifest, unique_id, project.dbt)
    except Exception as error:
        # dagster-dbt and Dagster raise many exceptions for properties that they can't use; none names the node.
        raise ProjectError(
            f"The properties of {unique_id} can't become those of an asset: {type(error).__name__}: {error}",
            remedy="Correct them.",
        ) from error


def _project_specs(manifest: Mapping[str, Any], plan: Plan) -> list[dg.AssetSpec]:
    """Return an asset for the project itself, if a test reads no node or source that it could be a check of."""
    if all(test.node is not None for test in plan.tests.values()):
        return []
    return [
        dg.AssetSpec(
            key=project_key(manifest),
            description="The dbt project. It has the checks of tests that read no node or source.",
            group_name=PROJECT,
            kinds={"dbt"},
        )
    ]
