"""Explains why a node or test is in its group: who selects it, what it reads and when, and where its tests run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from analytics_dagster.assets.keys import asset_key
from analytics_dagster.cli.plan.planned_project import PlannedProject
from analytics_dagster.ingestion.tables import landed_tables
from analytics_dagster.planning.groups import OnOverlap, ScheduleGroup
from analytics_dagster.planning.plan import PlannedTest
from analytics_dagster.project.graph import reachable

ByGroup = Mapping[str, tuple[str, ...]]
"""Unique ids by the schedule group that builds or runs them, in the order of the groups."""

_ENTRIES = ("nodes", "sources", "functions", "exposures", "metrics", "semantic_models", "saved_queries", "unit_tests")
"""The keys of a manifest whose entries have a path."""


@dataclass(frozen=True)
class Explanation:
    """One node or test of the dbt project; ``group`` is None if no run builds it, and ``why`` gives the reason.

    ``waits_for`` are the groups that a run of its group waits for; ``also_in`` those that also refresh the node or run
    the test. ``reads`` and ``read_by`` are built nodes by their group; ``tests`` are the tests that read it, by the
    group that runs them; ``check_of`` is the node or source whose check a test is; ``asset`` is its key in Dagster.
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
    """Return why anything in the manifest is where the plan has it."""
    plan, graph = planned.plan, planned.graph
    test, unit_test = plan.tests.get(unique_id), graph.unit_tests.get(unique_id)
    group, why = _group_and_reason(planned, unique_id)
    is_node, is_built, is_test = unique_id in graph.nodes, unique_id in graph.built, bool(test or unit_test)
    parents = unit_test["depends_on"]["nodes"] if unit_test else graph.parents(unique_id) if is_node else None
    readers = graph.readers.get(unique_id, ()) if is_built else _readers(planned, unique_id)
    exposure = planned.project.manifest["exposures"].get(unique_id)
    asset = graph.nodes[unique_id] if is_built else exposure or graph.sources.get(unique_id)
    return Explanation(
        unique_id=unique_id,
        kind=kind_of(planned, unique_id),
        path=_path(planned, unique_id),
        group=group,
        why=why,
        selected_by=tuple(selecting.name for selecting in planned.selecting(unique_id)) if is_built else (),
        also_in=tuple(one.group.name for one in plan.groups if unique_id in (*one.refreshes, *one.refreshed_tests)),
        waits_for=plan.before(group) if group else (),
        reads=None if parents is None else _by_group(planned, test.reads if test else parents),
        sources=_sources(planned, test.reads if test else graph.reads(unique_id)) if is_node else (),
        read_by=None if is_test else _by_group(planned, readers),
        tests=None if is_test else _tests_of(planned, unique_id),
        check_of=test.node if test else None,
        asset=asset_key(asset).to_user_string() if asset else None,
    )


def selection_of(group: ScheduleGroup) -> str:
    """Return how a group selects its nodes, as in the schedule groups file; empty for a group without a selection."""
    found = {"selector": group.selector, "select": group.select}
    return next((f"{key}: {value}" for key, value in found.items() if value is not None), "")


def kind_of(planned: PlannedProject, unique_id: str) -> str:
    """Return the type of a node: `model, incremental`, `seed`, `source`."""
    node = planned.graph.nodes.get(unique_id)
    if node is None:
        return unique_id.partition(".")[0].replace("_", " ")
    materialized = node["config"].get("materialized")
    language = "Python " if node.get("language") == "python" else ""
    kind = str(node["resource_type"])
    return f"{language}{kind}" + (f", {materialized}" if materialized and materialized != kind else "")


def _group_and_reason(planned: PlannedProject, unique_id: str) -> tuple[str | None, str]:
    """Return the group that builds or runs something, or None, and the reason."""
    plan, graph = planned.plan, planned.graph
    if unique_id in graph.built:
        return plan.group_of.get(unique_id), _reason_for_node(planned, unique_id)
    for group in plan.groups:
        if any(test.unique_id == unique_id for test in group.tests):
            return group.group.name, _reason_for_test(planned, plan.tests[unique_id], group.group.name)
        if unique_id in group.unit_tests:
            why = "it tests the code of a model of this group; it runs only with ANALYTICS_UNIT_TESTS=true"
            return group.group.name, why
    if unique_id in graph.built_as:
        return None, f"it is the table of {graph.built_as[unique_id]}, declared as a source"
    if unique_id in {table.unique_id for table in landed_tables(graph.sources)}:
        return None, "the job `ingestion` loads it from the landing zone"
    entry = next((entry for entry in plan.not_built if unique_id in entry.nodes), None)
    return None, f"{entry.what}: {entry.why}" if entry else "no run builds it"


def _reason_for_node(planned: PlannedProject, node: str) -> str:
    groups = planned.selecting(node)
    if not groups:
        default = next((f"{group.name} is the" for group in planned.groups.groups if group.default), "there is no")
        return f"no group selects it, and {default} default group"
    first = groups[0]
    if len(groups) == 1:
        return f"{first.name} selects it by `{selection_of(first)}`"
    rule = {
        OnOverlap.ERROR: f"which is an error without `on_overlap`; it is shown in the first, {first.name}",
        OnOverlap.FIRST: f"and with `on_overlap: first` only the first, {first.name}, builds it",
        OnOverlap.ALL: f"and with `on_overlap: all` it belongs to the first, {first.name}, and the others refresh it",
    }
    selecting = _listing([f"{group.name} (`{selection_of(group)}`)" for group in groups])
    return f"{selecting} select it, {rule[planned.groups.on_overlap]}"


def _reason_for_test(planned: PlannedProject, test: PlannedTest, group: str) -> str:
    plan = planned.plan
    owners = {plan.group_of[node] for node in test.reads if node in plan.group_of}
    if len(owners) > 1:
        read = _listing([name for name in plan.by_name if name in owners])
        return f"it reads nodes of {read}, and {group} runs last of them"
    if owners:
        return f"{group} builds everything that it reads"
    reading = {plan.group_of.get(reader) for source in test.reads for reader in planned.graph.readers.get(source, ())}
    if group in reading:
        return f"it reads only sources, and {group} is the first group that reads them"
    if any(selecting.name == group for selecting in planned.selecting(test.unique_id)):
        return f"{group} is the first group that selects it, and it reads nothing that a group builds"
    reads = "no group reads its sources" if test.reads else "it reads no node and no source"
    default = plan.by_name[group].group.default
    return f"{reads}, so {'the default group' if default else 'the first group'} runs it"


def _readers(planned: PlannedProject, unique_id: str) -> set[str]:
    """Return the built nodes that read something, directly or through ephemeral models."""
    children: Mapping[str, list[str]] = planned.project.manifest.get("child_map") or {}
    passed = {one: children.get(one, []) for one in (unique_id, *planned.graph.ephemeral)}
    return reachable({unique_id}, passed) & planned.graph.built


def _tests_of(planned: PlannedProject, node: str) -> ByGroup:
    """Return the tests that read a node or an ephemeral model, by the group that runs them."""

    def reads_it(test: PlannedTest) -> bool:
        return node in test.reads or node in (planned.graph.nodes[test.unique_id]["depends_on"].get("nodes") or ())

    groups = planned.plan.by_name
    found = {name: tuple(test.unique_id for test in groups[name].tests if reads_it(test)) for name in groups}
    return {name: tests for name, tests in found.items() if tests}


def _by_group(planned: PlannedProject, nodes: Iterable[str]) -> ByGroup:
    found: dict[str, list[str]] = defaultdict(list)
    for node in sorted(nodes):
        if node in planned.plan.group_of:
            found[planned.plan.group_of[node]].append(node)
    return {name: tuple(found[name]) for name in planned.plan.by_name if name in found}


def _sources(planned: PlannedProject, nodes: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(planned.graph.sources.keys() & set(nodes)))


def _path(planned: PlannedProject, unique_id: str) -> str | None:
    manifest = planned.project.manifest
    disabled = (manifest.get("disabled") or {}).get(unique_id) or []
    entries = [(manifest.get(key) or {}).get(unique_id) for key in _ENTRIES]
    path = next((entry.get("original_file_path") for entry in [*entries, *disabled] if entry), None)
    return None if path is None else str(path)


def _listing(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
