"""What is worth a word about a plan: nodes that vars change, groups that run nothing, and what no run builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.plan import LeftOut, Plan, Problem
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.parse import Selection


def changed_by_variables(
    groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    """Yield, as a problem, each group whose vars change nodes: these must be the same for all groups."""
    for group in groups.groups:
        changed = sorted(selected[group.changes]) if group.changes else []
        if changed:
            yield Problem(
                code="vars-change-nodes",
                message=f"The vars of the schedule group {group.name} change which nodes the project has, what they "
                "read or where they are built:",
                nodes=tuple(
                    f"{node} is {'another, or none,' if node in graph.nodes else 'there only'} under these vars"
                    for node in changed
                ),
                remedy="A node must be the same for all groups: set the var for the whole location "
                "(ANALYTICS_DBT_VARS or dbt_project.yml).",
            )


def plan_warnings(
    plan: Plan, groups: ScheduleGroups, graph: Graph, selected: Mapping[Selection, frozenset[str]]
) -> Iterator[Problem]:
    """Yield what is worth a look: a project of nothing, a selection that matches nothing, a group that runs nothing."""
    if not (graph.built or graph.tests):
        yield Problem(
            code="nothing-to-run",
            message="The dbt project has no node to build and no test to run.",
            nodes=(),
            remedy="Add one; until then the schedule groups have no jobs.",
        )
        return
    for group in groups.groups:
        what = f"the selector {group.selector!r}" if group.selector else repr(group.select)
        if not selected[group.selection] & (graph.built | graph.tests.keys()):
            if group.default and not plan.by_name[group.name].is_empty:
                # It has what no other selects: its own selection need not name any of that.
                continue
            yield Problem(
                code="selection-matches-nothing",
                message=f"The selection of the schedule group {group.name} matches no node: {what}.",
                nodes=(),
                remedy="Correct the selection, tag the nodes that are meant, or take the group away.",
            )
        elif plan.by_name[group.name].is_empty:
            yield Problem(
                code="group-runs-nothing",
                message=f"All that the schedule group {group.name} selects is run by other groups: {what}.",
                nodes=(),
                remedy="Put the group above them in the file, narrow their selections, or take it away.",
            )


def left_out_nodes(manifest: Mapping[str, Any], graph: Graph) -> Iterator[LeftOut]:
    """Yield the nodes of the project that no run builds by themselves."""
    disabled = sorted(graph.disabled)
    found = {
        "ephemeral models": ("part of the SQL of what reads them", sorted(graph.ephemeral)),
        "disabled nodes": ("switched off by their configuration", disabled),
        **{
            f"{kind.replace('_', ' ')}": (why, sorted(manifest.get(key) or {}))
            for kind, (key, why) in _NEVER_BUILT.items()
        },
        "analyses": ("compiled, never run", _of_type(graph, "analysis")),
        "hooks": ("run by dbt at the start and the end of each build", _of_type(graph, "operation")),
    }
    for what, (why, nodes) in found.items():
        if nodes:
            yield LeftOut(what, why, tuple(nodes))


_NEVER_BUILT = {
    "sources": ("sources", "loaded before dbt; external assets unless this location loads them"),
    "exposures": ("exposures", "made of what is built, outside dbt; assets without a run"),
    "metrics": ("metrics", "definitions, computed when asked for"),
    "semantic_models": ("semantic_models", "definitions on top of models"),
    "saved_queries": ("saved_queries", "definitions; dbt's open-source engine runs none"),
}


def _of_type(graph: Graph, resource_type: str) -> list[str]:
    return sorted(node for node, content in graph.nodes.items() if content["resource_type"] == resource_type)
