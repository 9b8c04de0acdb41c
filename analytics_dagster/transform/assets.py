"""dbt nodes as Dagster assets: one multi-asset a schedule group, which builds just what the plan says.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.project import Project
from analytics_dagster.transform.arguments import Wish, make_build
from analytics_dagster.transform.dbt_resource import DbtResource
from analytics_dagster.transform.execution import Assets, Builder, permanent_failure
from analytics_dagster.transform.graph import Graph
from analytics_dagster.transform.keys import EXPOSURES, dagster_names, exposures
from analytics_dagster.transform.plan import Plan
from analytics_dagster.transform.steps import Step, Steps
from analytics_dagster.warehouse import POOL, Warehouse

GROUP_TAG = "analytics_dagster/schedule_group"
"""The tag of a run that says of which schedule group it is."""


class BuildConfig(dg.Config):
    """What the launchpad offers for one run."""

    full_refresh: bool = Field(default=False, description="Rebuild incremental models and seeds from scratch.")
    variables: dict[str, Any] = Field(default_factory=dict, description="dbt vars of this run (`--vars`).")


def build_group_assets(
    plan: Plan,
    graph: Graph,
    assets: Assets,
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
) -> list[dg.AssetsDefinition]:
    """Return a multi-asset for each schedule group that has nodes or tests of its own.

    ``specs`` and ``checks`` are by dbt unique id; unit tests are among the checks where runs execute them. Tests that
    have to wait for the steps of other groups are a step beside the group's own.
    """
    step_of = Steps(plan, graph).of_test
    contents: dict[Step, tuple[dict[str, dg.AssetSpec], dict[str, dg.AssetCheckSpec]]] = {}
    for part in plan.groups:
        step = Step(part.group.name)
        contents[step] = {node: specs[node] for node in part.nodes}, {}
        for test in (*(test.unique_id for test in part.tests), *part.unit_tests):
            if test in checks:
                contents.setdefault(step_of.get(test, step), ({}, {}))[1][test] = checks[test]
    found = [step for step in sorted(contents, key=lambda step: step.is_beside) if any(contents[step])]
    names = dagster_names((step, f"dbt_{step.group}" + ("_tests" if step.is_beside else "")) for step in found)
    place = {part.group.name: place for place, part in enumerate(plan.groups)}
    return [_step_assets(assets, name, step.group, place[step.group], contents[step]) for name, step in names.items()]


def _step_assets(
    assets: Assets,
    name: str,
    group_name: str,
    place: int,
    content: tuple[Mapping[str, dg.AssetSpec], Mapping[str, dg.AssetCheckSpec]],
) -> dg.AssetsDefinition:
    specs, checks = content
    node_of = {spec.key: node for node, spec in specs.items()}
    test_of = {spec.key: test for test, spec in checks.items()}
    outputs = _outputs(list(specs.values()), list(checks.values()))
    inputs = _inputs(list(specs.values()), list(checks.values()))

    @dg.op(
        name=name,
        description=f"`dbt build` of the schedule group {group_name}.",
        ins={input_name: dg.In(dg.Nothing) for input_name in inputs},
        out={output_name: dg.Out(dg.Nothing, is_required=False) for output_name in outputs},
        pool=POOL,
        # A test may read what another group's step builds without an asset between the two: upstream groups first.
        tags={"dagster/priority": str(-place)},
    )
    # Dagster takes an `AssetExecutionContext` only where a step has an asset: one may have nothing but checks.
    def build_group(
        context: dg.OpExecutionContext, config: BuildConfig, dbt: DbtResource, warehouse: Warehouse
    ) -> Iterator[Any]:
        nodes = {node_of[key] for key in context.selected_asset_keys}
        tests = {test_of[key] for key in context.selected_asset_check_keys}
        # A run of a group that refreshes this one's nodes does so by its own vars and policy.
        group = assets.groups.get(context.run.tags.get(GROUP_TAG, group_name), assets.groups[group_name])
        wish = Wish(full_refresh=config.full_refresh, variables=config.variables)
        try:
            build = make_build(nodes | tests, group, wish, assets.variables)
        except ScheduleGroupError as error:
            raise permanent_failure(context, str(error)) from None
        yield from Builder(context, assets, dbt, warehouse).run(build, group)

    # Not by `@multi_asset`, which derives the names of inputs and outputs from keys, and so knows fewer keys than dbt
    # knows names; and which has no input for what a check reads, so that its step would not wait for it.
    keys = {output: key for output, key in outputs.items() if isinstance(key, dg.AssetKey)}
    tests = {output: checks[test_of[key]] for output, key in outputs.items() if isinstance(key, dg.AssetCheckKey)}
    if not keys:
        checked: dg.AssetsDefinition = dg.AssetChecksDefinition.create(
            node_def=build_group, keys_by_input_name=inputs, check_specs_by_output_name=tests, can_subset=True
        )
        return checked
    return dg.AssetsDefinition(
        node_def=build_group,
        keys_by_input_name=inputs,
        keys_by_output_name=keys,
        check_specs_by_output_name=tests,
        specs=list(specs.values()),
        can_subset=True,
    )


def _outputs(
    specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec]
) -> Mapping[str, dg.AssetKey | dg.AssetCheckKey]:
    """Return what a step makes by the names of its outputs: Dagster's own names where these are free."""
    wanted: list[tuple[dg.AssetKey | dg.AssetCheckKey, str]] = [
        *((spec.key, spec.key.to_python_identifier()) for spec in sorted(specs, key=lambda spec: spec.key)),
        *((spec.key, spec.get_python_identifier()) for spec in sorted(checks, key=lambda spec: spec.key)),
    ]
    return dagster_names(wanted)


def _inputs(specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec]) -> Mapping[str, dg.AssetKey]:
    """Return what a step or a part of it may wait for, by the names of its inputs.

    What the group builds itself is among it: Dagster splits a step where the steps of several groups would wait for
    each other.
    """
    read = {
        *(dep.asset_key for spec in specs for dep in spec.deps),
        *(dep.asset_key for spec in checks for dep in spec.additional_deps),
        *(spec.asset_key for spec in checks),
    }
    return dagster_names((key, "_".join(key.path)) for key in sorted(read))


def build_exposure_specs(project: Project, keys: Mapping[str, dg.AssetKey], owner: Any) -> list[dg.AssetSpec]:
    """Return an asset for each exposure, downstream of what it depends on.

    ``keys`` are the asset keys of nodes, sources and exposures by unique id; ``owner`` turns a name into a Dagster
    owner.
    """
    return [_exposure_spec(project, exposure, keys, owner) for exposure in exposures(project.manifest)]


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
        key=keys[exposure["unique_id"]],
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
