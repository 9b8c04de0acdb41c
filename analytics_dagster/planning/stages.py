"""In which order parts of schedule groups run, so that every node comes after all that it reads. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class Stage:
    """One run of a group, or of a part of it: dbt unique ids."""

    group: str
    nodes: frozenset[str]
    tests: frozenset[str]


def stages(plan: Plan, graph: Graph, nodes: frozenset[str], tests: frozenset[str]) -> tuple[Stage, ...]:
    """Return the runs, in their order, that build these nodes and execute these tests of a plan, once each.

    Each group comes in one stage, in the plan's order, where that lets every node come after all of the given ones
    that it reads; groups that read each other come in several. A test is in the first stage of its group after all
    of the given nodes that it reads are built; where its group has no such stage, in one more of its own.
    """
    return tuple(_walk(plan, graph, nodes, tests))


def _walk(plan: Plan, graph: Graph, nodes: frozenset[str], tests: frozenset[str]) -> Iterator[Stage]:
    waiting = [
        Stage(
            group.group.name,
            nodes.intersection(group.nodes),
            tests.intersection(test.unique_id for test in group.tests),
        )
        for group in plan.groups
    ]
    waiting = [rest for rest in waiting if rest.nodes or rest.tests]
    given = frozenset[str]().union(*(rest.nodes for rest in waiting))
    done = frozenset[str]()
    while waiting:
        place, stage = _next(waiting, graph, given, done)
        rest = waiting[place]
        yield stage
        done |= stage.nodes
        left = Stage(rest.group, rest.nodes - stage.nodes, rest.tests - stage.tests)
        waiting[place : place + 1] = [left] if left.nodes or left.tests else []


def _next(waiting: Sequence[Stage], graph: Graph, given: frozenset[str], done: frozenset[str]) -> tuple[int, Stage]:
    """Return what runs next, and of which of the rests: the first that leaves nothing of its group for later.

    Where there is none, rather the first that leaves tests alone, and at last the first that can build anything.
    """
    found: list[tuple[int, int, Stage]] = []
    for place, rest in enumerate(waiting):
        ready = _ready(rest, graph, given, done)
        if ready == rest:
            return place, ready
        if ready.nodes:
            found.append((0 if ready.nodes == rest.nodes else 1, place, ready))
    _, place, ready = min(found, key=lambda one: one[:2])
    return place, ready


def _ready(rest: Stage, graph: Graph, given: frozenset[str], done: frozenset[str]) -> Stage:
    """Return what of the rest of a group can run now."""
    built: set[str] = set()
    for node in sorted(rest.nodes, key=graph.position.__getitem__):
        if _is_complete(graph.parents(node), given, done, built):
            built.add(node)
    tests = (test for test in rest.tests if _is_complete(graph.parents(test), given, done, built))
    return Stage(rest.group, frozenset(built), frozenset(tests))


def _is_complete(read: Collection[str], given: Collection[str], done: Collection[str], built: Collection[str]) -> bool:
    return all(node in done or node in built or node not in given for node in read)
