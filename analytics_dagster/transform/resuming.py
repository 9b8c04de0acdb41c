"""`From failure` in the UI: of the step that is a schedule group's dbt, what failed and what was skipped alone.

Dagster takes up a failed run by steps, and a group's dbt is one step. What the failed run has built is handed on to the
steps that read it, and is not told as built a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

# Dagster has no public way to hand on an asset's output without telling of a materialization. This is how its own
# source assets do, which tell of their observations themselves; a test fails when it is no longer so.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from analytics_dagster.failures.leftover import Leftover, taken_up
from analytics_dagster.transform.graph import Graph


def left_of_step(context: dg.OpExecutionContext) -> Leftover | None:
    """Return what of a step's part in a run is still to be done; None where that is all of it.

    All of it is to be done by any run that takes up none, and where a step failed though nothing of it is left.
    """
    left = taken_up(context.instance, context.run)
    if left is None:
        return None
    assets = left.assets & context.selected_asset_keys
    checks = left.checks & context.selected_asset_check_keys
    return Leftover(frozenset(assets), frozenset(checks)) if assets or checks else None


def narrowed(
    left: Leftover, nodes: Mapping[dg.AssetKey, str], tests: Mapping[dg.AssetCheckKey, str], graph: Graph
) -> tuple[frozenset[str], frozenset[str]]:
    """Return those of a step's nodes and tests that run again: what is left, and of the nodes also what reads it.

    A node may have been built before a test found that what it reads is wrong.
    """
    again = {node for key, node in nodes.items() if key in left.assets}
    for node in sorted(nodes.values(), key=graph.position.__getitem__):
        if graph.parents(node) & again:
            again.add(node)
    run = {test for key, test in tests.items() if key in left.checks or nodes.get(key.asset_key) in again}
    return frozenset(again), frozenset(run)


def handed_on(outputs: Iterable[str]) -> Iterator[dg.Output[None]]:
    """Yield the outputs of what is built already, so that what reads them is not skipped.

    They come in the order in which they were built, and before all that is built now: else Dagster refuses them.
    """
    for output in outputs:
        yield dg.Output(None, output_name=output, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
