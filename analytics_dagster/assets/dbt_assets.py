"""dbt nodes as Dagster assets: one multi-asset per schedule group, which runs `dbt build` for exactly its nodes.

No ``from __future__ import annotations`` here: Dagster reads the annotations of what it decorates at run time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from analytics_dagster.assets.steps import StepSpec
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.execution.arguments import RunOptions, make_build
from analytics_dagster.execution.build_context import BuildContext
from analytics_dagster.execution.dbt_resource import DbtResource
from analytics_dagster.execution.remaining_work import carry_over, completed_in_parent, remaining_in_step
from analytics_dagster.planning.groups import GROUP_TAG
from analytics_dagster.redaction import redacted_step
from analytics_dagster.secret_values import remember_secrets
from analytics_dagster.text import pluralize
from analytics_dagster.warehouse import POOL, Warehouse


class BuildConfig(dg.Config):
    """The launchpad's options for one run."""

    full_refresh: bool = Field(default=False, description="Rebuild incremental models and seeds from scratch.")
    variables: dict[str, Any] = Field(default_factory=dict, description="dbt vars of this run (`--vars`).")


def build_group_assets(
    steps: Sequence[StepSpec],
    nodes: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    build_context: Callable[[], BuildContext],
) -> list[dg.AssetsDefinition]:
    """Return a multi-asset for each step.

    ``nodes`` and ``checks`` are by dbt unique id; ``build_context`` is called when a step runs.
    """
    # Shared by all steps: Dagster takes long to create one, and a large project has thousands of inputs and outputs.
    nothing = dg.In(dg.Nothing), dg.Out(dg.Nothing, is_required=False)
    return [
        _step_assets(
            step,
            {output: nodes[node] for output, node in step.nodes.items()},
            {output: checks[test] for output, test in step.tests.items()},
            build_context,
            nothing,
        )
        for step in steps
    ]


def _step_assets(
    step: StepSpec,
    specs: Mapping[str, dg.AssetSpec],
    checks: Mapping[str, dg.AssetCheckSpec],
    build_context: Callable[[], BuildContext],
    nothing: tuple[dg.In, dg.Out],
) -> dg.AssetsDefinition:
    output_of = {node: output for output, node in step.nodes.items()}
    node_of = {spec.key: step.nodes[output] for output, spec in specs.items()}
    test_of = {check.key: step.tests[output] for output, check in checks.items()}

    @dg.op(
        name=step.name,
        description=f"`dbt build` of the schedule group {step.group}.",
        ins=dict.fromkeys(step.inputs, nothing[0]),
        out=dict.fromkeys([*step.nodes, *step.tests], nothing[1]),
        pool=POOL,
        # Upstream groups first: a test may read what another step builds, with no asset dependency between the steps.
        tags={"dagster/priority": str(-step.position)},
    )
    # Not an `AssetExecutionContext`: Dagster refuses it for a step that has only checks.
    def build_group(
        context: dg.OpExecutionContext, config: BuildConfig, dbt: DbtResource, warehouse: Warehouse
    ) -> Iterator[Any]:
        from analytics_dagster.execution.run import Builder, permanent_failure  # imports dagster-dbt

        location = build_context()
        selected = {key: node_of[key] for key in context.selected_asset_keys}
        selected_tests = {key: test_of[key] for key in context.selected_asset_check_keys}
        done = completed_in_parent(context.instance, context.run)
        nodes, tests = remaining_in_step(done, selected, selected_tests, location.graph)
        # A group that refreshes nodes of this group uses its own vars and policy for them.
        group = location.groups.get(context.run.tags.get(GROUP_TAG, step.group), location.groups[step.group])
        options = RunOptions(full_refresh=config.full_refresh, variables=config.variables)
        try:
            build = make_build(nodes | tests, group, options, location.variables)
        except ScheduleGroupError as error:
            raise permanent_failure(context, str(error)) from None
        built = sorted(set(selected.values()) - nodes, key=location.graph.position.__getitem__)
        if built or len(tests) < len(selected_tests):
            left = f"{pluralize(len(nodes), 'node')} and {pluralize(len(tests), 'test')}"
            context.log.info(f"Resuming run {(context.run.parent_run_id or '')[:8]}: {left} left")
        yield from carry_over(output_of[node] for node in built)
        remember_secrets(build.variables)
        with redacted_step(context.log, dg.get_dagster_logger()):
            yield from Builder(context, location, dbt, warehouse).run(build, group)

    # Not `@multi_asset`: it derives the names of inputs and outputs from keys, which may collide, and it has no input
    # for an asset that only a check reads, so the step would not wait for it.
    if not specs:
        checks_only: dg.AssetsDefinition = dg.AssetChecksDefinition.create(
            node_def=build_group, keys_by_input_name=step.inputs, check_specs_by_output_name=checks, can_subset=True
        )
        return checks_only
    return dg.AssetsDefinition(
        node_def=build_group,
        keys_by_input_name=step.inputs,
        keys_by_output_name={output: spec.key for output, spec in specs.items()},
        check_specs_by_output_name=checks,
        specs=list(specs.values()),
        can_subset=True,
    )
