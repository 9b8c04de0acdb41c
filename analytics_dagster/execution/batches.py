"""In how many builds dbt does a step's work: more than one only where dbt does not know what comes after what.

To dbt a source is there before anything is built; one that is the relation of a node of the same project (a seed that
is read as a source) may be read before that node is built. So what reads it is built by a dbt that starts afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from analytics_dagster.execution.events import BUILT, NodeResult
from analytics_dagster.project.graph import Graph


def waves(graph: Graph, build: Collection[str]) -> tuple[frozenset[str], ...]:
    """Return the nodes and tests of a build in the order in which dbt is started for them: most often all at once."""
    if not graph.built_as:
        return (frozenset(build),)
    place: dict[str, int] = {}
    # Every test comes after all nodes, and every node after what it reads.
    for unique_id in sorted(
        build, key=lambda unique_id: (graph.position.get(unique_id, len(graph.position)), unique_id)
    ):
        reads = graph.reads(unique_id)
        unknown_to_dbt = {graph.built_as[source] for source in reads if source in graph.built_as}
        place[unique_id] = max((place[read] + (read in unknown_to_dbt) for read in reads if read in place), default=0)
    found: dict[int, set[str]] = defaultdict(set)
    for unique_id, number in place.items():
        found[number].add(unique_id)
    return tuple(frozenset(found[number]) for number in sorted(found))


def spoiled(graph: Graph, wave: Collection[str], results: Iterable[NodeResult]) -> frozenset[str]:
    """Return what of a wave is not to be built after what became of the earlier ones, as dbt would in one build.

    That is what reads a node that was not built, or one of whose tests failed; tests of such a one are still run.
    """
    results = list(results)
    absent = {one.unique_id for one in results if one.unique_id in graph.built and one.status not in BUILT}
    failed = {one.unique_id for one in results if one.unique_id in graph.tests and one.status in {"fail", "error"}}
    doubtful = {read for test in failed for read in graph.reads(test)}
    for unique_id in sorted(wave, key=lambda unique_id: graph.position.get(unique_id, len(graph.position))):
        reads = graph.reads(unique_id)
        if reads & absent or (unique_id in graph.built and reads & doubtful):
            absent.add(unique_id)
    return frozenset(absent & set(wave))
