"""Resolves a selection in dbt's syntax to the nodes and tests that it names."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from analytics_dagster.errors import ProjectError
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project import parse
from analytics_dagster.project.graph import Graph
from analytics_dagster.project.loading import Project
from analytics_dagster.project.parse import DbtFailedError, ParseRequest, Selection
from analytics_dagster.text import pluralize

_PARTIAL_PARSE = "partial_parse.msgpack"


def resolve_selection(project: Project, select: str) -> frozenset[str]:
    """Return the unique ids that `dbt ls` lists for a selection, including the tests that dbt selects with nodes.

    Raises `ProjectError` with dbt's message, or if nothing matches.
    """
    with tempfile.TemporaryDirectory() as folder:
        partial_parse = project.artifacts / _PARTIAL_PARSE
        if partial_parse.exists():
            # With a copy dbt parses only what has changed, and the project's own artifacts stay as they are.
            shutil.copyfile(partial_parse, Path(folder, _PARTIAL_PARSE))
        files = replace(project.files, artifacts=Path(folder))
        request = ParseRequest.of(files, project.target, [Selection(select=select)])
        try:
            [found] = parse.parse(request)
        except DbtFailedError as failure:
            message = project.target.redact(failure.output).strip()
            raise ProjectError(
                f"dbt can't resolve the selection {select!r}:\n{message}",
                remedy="Correct the selection. Its syntax is in dbt's documentation of node selection.",
            ) from None
    if not found:
        raise ProjectError(
            f"The selection {select!r} matches nothing in the dbt project {project.directory}.",
            remedy="List the project's nodes with `analytics-dagster plan --group GROUP` or `dbt ls`.",
        )
    return found


def require_runnable(select: str, found: frozenset[str], plan: Plan, graph: Graph) -> None:
    """Raise `ProjectError` that counts what a selection names if no schedule group runs any of it."""
    if found & (plan.group_of.keys() | plan.tests.keys()):
        return
    kinds = Counter("ephemeral model" if one in graph.ephemeral else one.partition(".")[0] for one in found)
    counts = ", ".join(pluralize(number, kind.replace("_", " ")) for kind, number in sorted(kinds.items()))
    raise ProjectError(
        f"The selection {select!r} names nothing that a schedule group runs: {counts}.",
        remedy="Select the nodes that read it, with a `+` after its name. The job `ingestion` loads landed sources.",
    )


def require_in_groups(select: str, found: frozenset[str], plan: Plan, names: Collection[str]) -> None:
    """Raise `ProjectError` that names the groups of a selection if none of the named groups runs any of it."""
    runs = {
        group.group.name: group.builds | {test.unique_id for test in group.tests} | set(group.refreshed_tests)
        for group in plan.groups
    }
    if any(found & runs[name] for name in names):
        return
    raise ProjectError(
        f"The selection {select!r} names nothing in {', '.join(names) or 'the named groups'}.",
        remedy=f"It belongs to {', '.join(name for name in runs if found & runs[name])}: name that group, or no group.",
    )
