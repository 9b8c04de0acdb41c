"""The order in which parts of schedule groups run, so that every node is built after its parents. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph


@dataclass(frozen=True)
class Stage:
    """One run of a group or of a part of it: dbt unique ids."""

    group: str
    nodes: frozenset[str]
    tests: frozenset[str]


def stages(plan: Plan, graph: Graph, nodes: frozenset[str], tests: frozenset[str]) -> tuple[Stage, ...]:
    """Return the runs that build these nodes and execute these tests of a plan once each, in running order.

    A group has one stage, in the plan's order, if that allows every node to be built after its parents among the
    given nodes. Groups that read each other have several stages. A test runs in the first stage of its group in which
    the given nodes that it reads are built, or else in an additional stage.
    """
    return tuple(_walk(plan, graph, nodes, tests))


def _walk(plan: Plan, graph: Graph, nodes: frozenset[str], tests: frozenset[str]) -> Iterator[Stage]:
    waiting = []
    for part in plan.groups:
        planned = (test.unique_id for test in part.tests)
        waiting.append(Stage(part.group.name, nodes.intersection(part.nodes), tests.intersection(planned)))
    waiting = [stage for stage in waiting if stage.nodes or stage.tests]
    given = frozenset[str]().union(*(stage.nodes for stage in waiting))
    done = frozenset[str]()
    while waiting:
        index, stage = _next(waiting, graph, given, done)
        yield stage
        done |= stage.nodes
        rest = Stage(stage.group, waiting[index].nodes - stage.nodes, waiting[index].tests - stage.tests)
        waiting[index : index + 1] = [rest] if rest.nodes or rest.tests else []


def _next(waiting: Sequence[Stage], graph: Graph, given: frozenset[str], done: frozenset[str]) -> tuple[int, Stage]:
    """Return the next stage and the index of the group's rest: the first group that can run completely.

    If there is none: the first group that can build all its nodes, else the first that can build any node.
    """
    found: list[tuple[int, int, Stage]] = []
    for index, rest in enumerate(waiting):
        ready = _ready(rest, graph, given, done)
        if ready == rest:
            return index, ready
        if ready.nodes:
            found.append((0 if ready.nodes == rest.nodes else 1, index, ready))
    _, index, ready = min(found, key=lambda one: one[:2])
    return index, ready


def _ready(rest: Stage, graph: Graph, given: frozenset[str], done: frozenset[str]) -> Stage:
    """Return the part of a group's rest that can run now."""
    built: set[str] = set()
    for node in sorted(rest.nodes, key=graph.position.__getitem__):
        if graph.parents(node) & given <= done | built:
            built.add(node)
    tests = (test for test in rest.tests if graph.parents(test) & given <= done | built)
    return Stage(rest.group, frozenset(built), frozenset(tests))
