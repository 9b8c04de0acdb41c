"""dbt nodes as Dagster assets: one multi-asset a schedule group, which builds just what the plan says.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import dagster as dg
from pydantic import Field

from analytics_dagster.assets.keys import EXPOSURES, dagster_names, exposures
from analytics_dagster.assets.steps import Step, Steps
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.execution.arguments import RunOptions, make_build
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.execution.remaining_work import carry_over, completed_in_parent, remaining_in_step
from analytics_dagster.planning.groups import GROUP_TAG
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph
from analytics_dagster.text import pluralize
from analytics_dagster.warehouse import POOL, Warehouse


class BuildConfig(dg.Config):
    """What the launchpad offers for one run."""

    full_refresh: bool = Field(default=False, description="Rebuild incremental models and seeds from scratch.")
    variables: dict[str, Any] = Field(default_factory=dict, description="dbt vars of this run (`--vars`).")


@dataclass(frozen=True)
class GroupStep:
    """A step of the location: what it makes, by the names of its outputs, and what it reads, by those of its inputs.

    ``nodes`` and ``tests`` are dbt unique ids; ``place`` is that of the schedule group in the order of runs.
    """

    name: str
    group: str
    place: int
    nodes: Mapping[str, str]
    tests: Mapping[str, str]
    inputs: Mapping[str, dg.AssetKey]


def plan_steps(
    plan: Plan, graph: Graph, specs: Mapping[str, dg.AssetSpec], checks: Mapping[str, dg.AssetCheckSpec]
) -> tuple[GroupStep, ...]:
    """Return a step for each schedule group that has nodes or tests of its own.

    ``specs`` (also of sources) and ``checks`` are by dbt unique id; unit tests are among the checks where runs execute
    them. Tests that have to wait for the steps of other groups are a step beside the group's own.
    """
    step_of = Steps(plan, graph).of_test
    contents: dict[Step, tuple[dict[str, dg.AssetSpec], dict[str, dg.AssetCheckSpec]]] = {}
    for part in plan.groups:
        step = Step(part.group.name)
        contents[step] = {node: specs[node] for node in part.nodes}, {}
        for test in (*(test.unique_id for test in part.tests), *part.unit_tests):
            if test in checks:
                contents.setdefault(step_of.get(test, step), ({}, {}))[1][test] = checks[test]
    found = {step: contents[step] for step in sorted(contents, key=lambda step: step.is_beside) if any(contents[step])}
    names = dagster_names((step, f"dbt_{step.group}" + ("_tests" if step.is_beside else "")) for step in found)
    place = {part.group.name: place for place, part in enumerate(plan.groups)}
    others = [spec for unique_id, spec in specs.items() if unique_id not in plan.group_of]
    whole = not _wait_in_circles(found, others)
    steps = []
    for name, step in names.items():
        nodes, tests = found[step]
        outputs = _outputs(nodes, tests)
        steps.append(
            GroupStep(
                name=name,
                group=step.group,
                place=place[step.group],
                nodes={output: unique_id for output, unique_id in outputs.items() if unique_id in nodes},
                tests={output: unique_id for output, unique_id in outputs.items() if unique_id in tests},
                inputs=_inputs(list(nodes.values()), list(tests.values()), whole=whole),
            )
        )
    return tuple(steps)


def build_group_assets(
    steps: Sequence[GroupStep],
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    assets: Callable[[], "BuildContext"],
) -> list[dg.AssetsDefinition]:
    """Return a multi-asset for each step.

    ``specs`` and ``checks`` are by dbt unique id; ``assets`` is called when a step runs.
    """
    # One for all: Dagster takes longer to make one than to look at it.
    read, made = dg.In(dg.Nothing), dg.Out(dg.Nothing, is_required=False)
    return [_step_assets(step, specs, checks, assets, (read, made)) for step in steps]


def _step_assets(
    step: GroupStep,
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    assets: Callable[[], "BuildContext"],
    nothing: tuple[dg.In, dg.Out],
) -> dg.AssetsDefinition:
    output_of = {node: output for output, node in step.nodes.items()}
    node_of = {specs[node].key: node for node in step.nodes.values()}
    test_of = {checks[test].key: test for test in step.tests.values()}

    @dg.op(
        name=step.name,
        description=f"`dbt build` of the schedule group {step.group}.",
        ins=dict.fromkeys(step.inputs, nothing[0]),
        out=dict.fromkeys([*step.nodes, *step.tests], nothing[1]),
        pool=POOL,
        # A test may read what another group's step builds without an asset between the two: upstream groups first.
        tags={"dagster/priority": str(-step.place)},
    )
    # Dagster takes an `AssetExecutionContext` only where a step has an asset: one may have nothing but checks.
    def build_group(
        context: dg.OpExecutionContext, config: BuildConfig, dbt: DbtResource, warehouse: Warehouse
    ) -> Iterator[Any]:
        from analytics_dagster.execution.run import Builder, permanent_failure  # dagster-dbt

        location = assets()
        selected = {key: node_of[key] for key in context.selected_asset_keys}
        selected_tests = {key: test_of[key] for key in context.selected_asset_check_keys}
        done = completed_in_parent(context.instance, context.run)
        nodes, tests = remaining_in_step(done, selected, selected_tests, location.graph)
        # A run of a group that refreshes this one's nodes does so by its own vars and policy.
        group = location.groups.get(context.run.tags.get(GROUP_TAG, step.group), location.groups[step.group])
        options = RunOptions(full_refresh=config.full_refresh, variables=config.variables)
        try:
            build = make_build(nodes | tests, group, options, location.variables)
        except ScheduleGroupError as error:
            raise permanent_failure(context, str(error)) from None
        built = sorted(set(selected.values()) - nodes, key=location.graph.position.__getitem__)
        if built or len(tests) < len(selected_tests):
            left = f"{pluralize(len(nodes), 'node')} and {pluralize(len(tests), 'test')}"
            context.log.info(f"Resuming run {str(context.run.parent_run_id)[:8]}: {left} left.")
        yield from carry_over(output_of[node] for node in built)
        yield from Builder(context, location, dbt, warehouse).run(build, group)

    # Not by `@multi_asset`, which derives the names of inputs and outputs from keys, and so knows fewer keys than dbt
    # knows names; and which has no input for what a check reads, so that its step would not wait for it.
    keys = {output: specs[node].key for output, node in step.nodes.items()}
    tests = {output: checks[test] for output, test in step.tests.items()}
    if not keys:
        checked: dg.AssetsDefinition = dg.AssetChecksDefinition.create(
            node_def=build_group, keys_by_input_name=step.inputs, check_specs_by_output_name=tests, can_subset=True
        )
        return checked
    return dg.AssetsDefinition(
        node_def=build_group,
        keys_by_input_name=step.inputs,
        keys_by_output_name=keys,
        check_specs_by_output_name=tests,
        specs=[specs[node] for node in step.nodes.values()],
        can_subset=True,
    )


def _outputs(specs: Mapping[str, dg.AssetSpec], checks: Mapping[str, dg.AssetCheckSpec]) -> Mapping[str, str]:
    """Return the ids of what a step makes by the names of its outputs: Dagster's own names where these are free."""
    return dagster_names(
        [
            *(
                (node, spec.key.to_python_identifier())
                for node, spec in sorted(specs.items(), key=lambda item: item[1].key)
            ),
            *(
                (test, spec.get_python_identifier())
                for test, spec in sorted(checks.items(), key=lambda item: item[1].key)
            ),
        ]
    )


def _inputs(
    specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec], *, whole: bool
) -> Mapping[str, dg.AssetKey]:
    """Return what a step or a part of it may wait for, by the names of its inputs.

    What it builds itself is among it unless every step stays ``whole``: Dagster splits steps that would wait for each
    other, and each input takes time in every process that loads the location.
    """
    read = {
        *(dep.asset_key for spec in specs for dep in spec.deps),
        *(dep.asset_key for spec in checks for dep in spec.additional_deps),
        *(spec.asset_key for spec in checks),
    }
    if whole:
        read -= {spec.key for spec in specs}
    return dagster_names((key, "_".join(key.path)) for key in sorted(read))


def _wait_in_circles(
    steps: Mapping[Step, tuple[Mapping[str, dg.AssetSpec], Mapping[str, dg.AssetCheckSpec]]],
    others: Sequence[dg.AssetSpec],
) -> bool:
    """Return whether steps wait for each other, also through assets that are made elsewhere."""
    step_of: dict[dg.AssetKey, object] = {
        spec.key: step for step, (nodes, _) in steps.items() for spec in nodes.values()
    }
    waits: dict[object, set[object]] = defaultdict(set)
    for step, (nodes, tests) in steps.items():
        for read in _inputs(list(nodes.values()), list(tests.values()), whole=True).values():
            waits[step].add(step_of.get(read, read))
    for spec in others:
        waits[spec.key] |= {step_of.get(dep.asset_key, dep.asset_key) for dep in spec.deps}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError:
        return True
    return False


def build_exposure_specs(
    manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], owner: Any
) -> list[dg.AssetSpec]:
    """Return an asset for each exposure, downstream of what it depends on.

    ``keys`` are the asset keys of nodes, sources and exposures by unique id; ``owner`` turns a name into a Dagster
    owner.
    """
    return [_exposure_spec(manifest, exposure, keys, owner) for exposure in exposures(manifest)]


def _exposure_spec(
    manifest: Mapping[str, Any], exposure: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], owner: Any
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
        deps=sorted({keys[unique_id] for unique_id in _upstream(manifest, exposure) if unique_id in keys}),
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
