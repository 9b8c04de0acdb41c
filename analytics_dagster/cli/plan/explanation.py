"""Why a node or test is where the plan has it: who selects it, what it reads and when, and where its tests run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analytics_dagster.assets.keys import asset_key
from analytics_dagster.cli.plan.planned_project import PlannedProject
from analytics_dagster.ingestion.tables import landed_tables
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup
from analytics_dagster.planning.plan import PlannedTest

ByGroup = Mapping[str, tuple[str, ...]]
"""Unique ids by the schedule group that builds or runs them, in the order of the groups."""


@dataclass(frozen=True)
class Explanation:
    """One node or test of the dbt project; ``group`` is None for what no run builds by itself, and ``why`` says why.

    ``waits_for`` are the groups that a run of its group waits for; ``also_in`` those that refresh a node too, or run a
    test too. ``reads`` and ``read_by`` are built nodes by their group; ``tests`` are the tests that read it, by the
    group that runs them; ``check_of`` is the node or source that a test is a check of; ``asset`` is its key in Dagster.
    """

    unique_id: str
    kind: str
    path: str | None
    group: str | None
    why: str
    selected_by: tuple[str, ...] = ()
    also_in: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    reads: ByGroup | None = None
    sources: tuple[str, ...] = ()
    read_by: ByGroup | None = None
    tests: ByGroup | None = None
    check_of: str | None = None
    asset: str | None = None


def explain(planned: PlannedProject, unique_id: str) -> Explanation:
    """Return why a node, test, source or whatever else the manifest has is where the plan has it."""
    plan, graph = planned.plan, planned.graph
    if unique_id in plan.tests:
        return _of_test(planned, plan.tests[unique_id])
    if unique_id in graph.built:
        return _of_node(planned, unique_id)
    for group in plan.groups:
        if unique_id in group.unit_tests:
            return _of_unit_test(planned, unique_id, group.group.name)
    return _of_other(planned, unique_id)


def way_of(group: ScheduleGroup) -> str:
    """Return how a group selects its nodes, as its file says it."""
    return f"selector: {group.selector}" if group.selector is not None else f"select: {group.select}"


def _of_node(planned: PlannedProject, node: str) -> Explanation:
    graph, plan = planned.graph, planned.plan
    group = plan.group_of.get(node)
    return Explanation(
        unique_id=node,
        kind=kind_of(planned, node),
        path=_path(planned, node),
        group=group,
        why=_why_of_node(planned, node),
        selected_by=tuple(taker.name for taker in planned.takers(node)),
        also_in=tuple(other.group.name for other in plan.groups if node in other.refreshes),
        waits_for=plan.before(group) if group else (),
        reads=_by_group(planned, graph.parents(node)),
        sources=_sources(planned, graph.reads(node)),
        read_by=_by_group(planned, graph.readers.get(node, ())),
        tests=_tests_of(planned, {node}),
        asset=asset_key(graph.nodes[node]).to_user_string(),
    )


def _why_of_node(planned: PlannedProject, node: str) -> str:
    takers = planned.takers(node)
    if not takers:
        default = next((group.name for group in planned.groups.groups if group.default), None)
        if default is None:
            return "no group selects it, and none is the default"
        return f"no group selects it, and {default} is the default group"
    first = takers[0]
    if len(takers) == 1:
        return f"{first.name} selects it by `{way_of(first)}`"
    named = _listed([f"{group.name} (`{way_of(group)}`)" for group in takers])
    rule = {
        OnOverlap.ERROR: f"which is an error unless on_overlap says what is meant; shown at the first, {first.name}",
        OnOverlap.FIRST: f"and by `on_overlap: first` it is that of the first, {first.name}, alone",
        OnOverlap.ALL: f"and by `on_overlap: all` it is that of the first, {first.name}, and the others refresh it",
    }
    return f"{named} select it, {rule[planned.groups.on_overlap]}"


def _of_test(planned: PlannedProject, test: PlannedTest) -> Explanation:
    plan = planned.plan
    group = next(name for name, group_plan in plan.by_name.items() if test in group_plan.tests)
    return Explanation(
        unique_id=test.unique_id,
        kind="test",
        path=_path(planned, test.unique_id),
        group=group,
        why=_why_of_test(planned, test, group),
        also_in=tuple(other.group.name for other in plan.groups if test.unique_id in other.refreshed_tests),
        waits_for=plan.before(group),
        reads=_by_group(planned, test.reads),
        sources=_sources(planned, test.reads),
        check_of=test.node,
    )


def _why_of_test(planned: PlannedProject, test: PlannedTest, group: str) -> str:
    plan = planned.plan
    owners = {plan.group_of[node] for node in test.reads if node in plan.group_of}
    if len(owners) > 1:
        ordered = [name for name in plan.by_name if name in owners]
        return f"it reads what {_listed(ordered)} build, and {group} runs last of them"
    if owners:
        return f"{group} builds all that it reads"
    reading = {plan.group_of.get(reader) for source in test.reads for reader in planned.graph.readers.get(source, ())}
    if group in reading:
        return f"it reads sources alone, and {group} is the first group that reads them"
    if any(taker.name == group for taker in planned.takers(test.unique_id)):
        return f"{group} is the first group that selects it, and it reads nothing that a group builds"
    claims = "no group reads these sources" if test.reads else "it reads no node and no source"
    default = plan.by_name[group].group.default
    return f"{claims}, so {'the default group' if default else 'the first group'} runs it"


def _of_unit_test(planned: PlannedProject, unique_id: str, group: str) -> Explanation:
    content = planned.project.manifest["unit_tests"][unique_id]
    return Explanation(
        unique_id=unique_id,
        kind="unit test",
        path=content.get("original_file_path"),
        group=group,
        why="it tests the code of a model of this group; run only where ANALYTICS_UNIT_TESTS is on",
        reads=_by_group(planned, content["depends_on"]["nodes"]),
    )


def _of_other(planned: PlannedProject, unique_id: str) -> Explanation:
    plan, graph = planned.plan, planned.graph
    left = next((entry for entry in plan.not_built if unique_id in entry.nodes), None)
    why = f"{left.what}: {left.why}" if left else "no run builds it by itself"
    if unique_id in graph.built_as:
        why = f"it is the table of {graph.built_as[unique_id]}, under a source's name"
    elif unique_id in {table.unique_id for table in landed_tables(graph.sources)}:
        why = "the job `ingestion` loads it from the landing zone"
    known = unique_id in graph.nodes
    asset = planned.project.manifest["exposures"].get(unique_id) or graph.sources.get(unique_id)
    readers = _readers(planned, unique_id)
    return Explanation(
        unique_id=unique_id,
        kind=kind_of(planned, unique_id),
        path=_path(planned, unique_id),
        group=None,
        why=why,
        reads=_by_group(planned, graph.parents(unique_id)) if known else None,
        sources=_sources(planned, graph.reads(unique_id)) if known else (),
        read_by=_by_group(planned, readers),
        tests=_tests_of(planned, {unique_id}),
        asset=asset_key(asset).to_user_string() if asset else None,
    )


def _readers(planned: PlannedProject, unique_id: str) -> set[str]:
    """Return the built nodes that read something, directly or through ephemeral models."""
    children: Mapping[str, list[str]] = planned.project.manifest.get("child_map") or {}
    found, seen, pending = set[str](), {unique_id}, [unique_id]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child in planned.graph.built:
                found.add(child)
            elif child in planned.graph.ephemeral and child not in seen:
                seen.add(child)
                pending.append(child)
    return found


def _tests_of(planned: PlannedProject, nodes: set[str]) -> ByGroup:
    """Return the tests that read one of the nodes, or an ephemeral model of them, by the group that runs them."""
    graph = planned.graph
    return {
        group.group.name: tests
        for group in planned.plan.groups
        if (
            tests := tuple(
                test.unique_id
                for test in group.tests
                if nodes & test.reads
                or nodes.intersection(graph.nodes[test.unique_id]["depends_on"].get("nodes") or ())
            )
        )
    }


def _by_group(planned: PlannedProject, nodes: Iterable[str]) -> ByGroup:
    found: dict[str, list[str]] = defaultdict(list)
    for node in sorted(nodes):
        if node in planned.plan.group_of:
            found[planned.plan.group_of[node]].append(node)
    return {name: tuple(found[name]) for name in planned.plan.by_name if name in found}


def _sources(planned: PlannedProject, nodes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(planned.graph.sources.keys() & set(nodes)))


def kind_of(planned: PlannedProject, unique_id: str) -> str:
    """Return what a node is: `model, incremental`, `seed`, `source`."""
    node = planned.graph.nodes.get(unique_id)
    if node is None:
        return unique_id.partition(".")[0].replace("_", " ")
    materialized = node["config"].get("materialized")
    language = "Python " if node.get("language") == "python" else ""
    kind = str(node["resource_type"])
    return f"{language}{kind}" + (f", {materialized}" if materialized and materialized != kind else "")


def _path(planned: PlannedProject, unique_id: str) -> str | None:
    manifest = planned.project.manifest
    for key in ("nodes", "sources", "functions", "exposures", "metrics", "semantic_models", "saved_queries"):
        content = (manifest.get(key) or {}).get(unique_id)
        if content is not None:
            path = content.get("original_file_path")
            return None if path is None else str(path)
    disabled = (manifest.get("disabled") or {}).get(unique_id)
    return str(disabled[0]["original_file_path"]) if disabled else None


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
