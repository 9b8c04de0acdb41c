"""dbt nodes as Dagster assets: one multi-asset a schedule group, which builds just what the plan says.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from analytics_dagster.project import Project
from analytics_dagster.transform.arguments import Build
from analytics_dagster.transform.dbt_resource import DbtResource
from analytics_dagster.transform.execution import run_build
from analytics_dagster.transform.plan import Plan
from analytics_dagster.transform.translator import Translator
from analytics_dagster.warehouse import POOL, Warehouse

EXPOSURES = "exposures"
"""The asset group of dbt's exposures, and the first part of their keys."""


class BuildConfig(dg.Config):
    """What the launchpad offers for one run."""

    full_refresh: bool = Field(default=False, description="Rebuild incremental models and seeds from scratch.")
    variables: dict[str, Any] = Field(default_factory=dict, description="dbt vars of this run (`--vars`).")


def build_group_assets(
    project: Project,
    plan: Plan,
    translator: Translator,
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    *,
    unit_tests: bool,
) -> list[dg.AssetsDefinition]:
    """Return one multi-asset for each schedule group that has anything to run.

    ``specs`` and ``checks`` are by dbt unique id; ``unit_tests`` says whether runs execute these too.
    """
    return [
        _group_assets(
            project,
            translator,
            name=group_plan.group.name,
            specs={node: specs[node] for node in group_plan.nodes},
            checks={test.unique_id: checks[test.unique_id] for test in group_plan.tests},
            unit_tests=group_plan.unit_tests if unit_tests else (),
        )
        for group_plan in plan.groups
        if group_plan.nodes or group_plan.tests
    ]


def _group_assets(
    project: Project,
    translator: Translator,
    *,
    name: str,
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    unit_tests: Sequence[str],
) -> dg.AssetsDefinition:
    node_of = {spec.key: node for node, spec in specs.items()}
    test_of = {spec.key: test for test, spec in checks.items()}
    unit_tests_of: dict[str, list[str]] = {}
    for unit_test in unit_tests:
        for model in project.manifest["unit_tests"][unit_test]["depends_on"]["nodes"]:
            unit_tests_of.setdefault(model, []).append(unit_test)

    @dg.multi_asset(
        name=f"dbt_{name}",
        description=f"`dbt build` of the schedule group {name}.",
        specs=list(specs.values()),
        check_specs=list(checks.values()),
        can_subset=True,
        pool=POOL,
        # A test that crosses groups is run by the last of them, and is a check of an asset that may be another's.
        allow_arbitrary_check_specs=True,
    )
    def build_group(
        context: dg.AssetExecutionContext, config: BuildConfig, dbt: DbtResource, warehouse: Warehouse
    ) -> Iterator[Any]:
        nodes = {node_of[key] for key in context.selected_asset_keys}
        tests = {test_of[key] for key in context.selected_asset_check_keys}
        units = {unit_test for node in nodes for unit_test in unit_tests_of.get(node, ())}
        build = Build(frozenset(nodes | tests | units), full_refresh=config.full_refresh, variables=config.variables)
        yield from run_build(context, build, project=project, translator=translator, dbt=dbt, warehouse=warehouse)

    return build_group


def build_exposure_specs(project: Project, keys: Mapping[str, dg.AssetKey], owner: Any) -> list[dg.AssetSpec]:
    """Return an asset for each exposure, downstream of what it depends on.

    ``keys`` are the asset keys of nodes and sources by unique id; ``owner`` turns a name into a Dagster owner.
    """
    return [_exposure_spec(project, exposure, keys, owner) for exposure in project.manifest["exposures"].values()]


def _exposure_spec(
    project: Project, exposure: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], owner: Any
) -> dg.AssetSpec:
    named = exposure.get("owner") or {}
    who = named.get("email") or named.get("name")
    names = [who] if isinstance(who, str) else who or []
    metadata: dict[str, Any] = {
        "dagster_dbt/unique_id": exposure["unique_id"],
        "type": exposure["type"],
        **({"maturity": exposure["maturity"]} if exposure.get("maturity") else {}),
        **({"url": dg.MetadataValue.url(exposure["url"])} if exposure.get("url") else {}),
    }
    return dg.AssetSpec(
        key=[EXPOSURES, exposure["name"]],
        deps=sorted({keys[unique_id] for unique_id in _upstream(project.manifest, exposure) if unique_id in keys}),
        description=exposure.get("description") or exposure.get("label") or "",
        group_name=EXPOSURES,
        owners=[owner(name) for name in names],
        kinds={"dbt", str(exposure["type"])},
        metadata=metadata,
    )


def _upstream(manifest: Mapping[str, Any], exposure: Mapping[str, Any]) -> set[str]:
    """Return the nodes and sources that an exposure depends on, through metrics and the like."""
    tables = {**manifest["nodes"], **manifest["sources"]}
    found: set[str] = set()
    seen: set[str] = set()
    pending = list(exposure["depends_on"]["nodes"])
    while pending:
        unique_id = pending.pop()
        if unique_id in seen:
            continue
        seen.add(unique_id)
        ephemeral = tables.get(unique_id, {}).get("config", {}).get("materialized") == "ephemeral"
        if unique_id in tables and not ephemeral:
            found.add(unique_id)
        else:
            pending.extend(manifest["parent_map"].get(unique_id, []))
    return found
