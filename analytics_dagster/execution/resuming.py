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

from analytics_dagster.execution.remaining_work import Done
from analytics_dagster.project.graph import Graph


def left_of_step(
    done: Done, nodes: Mapping[dg.AssetKey, str], tests: Mapping[dg.AssetCheckKey, str], graph: Graph
) -> tuple[frozenset[str], frozenset[str]]:
    """Return those of a step's nodes and tests that are still to be run: all but what is done.

    A node that was built before a test found that what it reads is wrong is built again with that. A step that failed
    though all of it was done is run as a whole.
    """
    again = {node for key, node in nodes.items() if key not in done.assets}
    left = {test for key, test in tests.items() if key not in done.checks}
    if not again and not left:
        return frozenset(nodes.values()), frozenset(tests.values())
    for node in sorted(nodes.values(), key=graph.position.__getitem__):
        if graph.parents(node) & again:
            again.add(node)
    left |= {test for key, test in tests.items() if nodes.get(key.asset_key) in again}
    return frozenset(again), frozenset(left)


def handed_on(outputs: Iterable[str]) -> Iterator[dg.Output[None]]:
    """Yield the outputs of what is built already, so that what reads them is not skipped.

    They come in the order in which they were built, and before all that is built now: else Dagster refuses them.
    """
    for output in outputs:
        yield dg.Output(None, output_name=output, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
