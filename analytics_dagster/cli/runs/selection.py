"""What a selection in dbt's own syntax names, for a build that is asked for by it."""

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

_PARSED = "partial_parse.msgpack"


def resolve_selection(project: Project, select: str) -> frozenset[str]:
    """Return the unique ids that a selection names, as `dbt ls` lists them, with the tests that dbt selects along.

    Raises `ProjectError` with what dbt said, and where nothing matches.
    """
    with tempfile.TemporaryDirectory() as folder:
        parsed = project.artifacts / _PARSED
        if parsed.exists():
            # dbt then parses only what changed since: nothing; and the project's own artifacts stay as they are.
            shutil.copyfile(parsed, Path(folder, _PARSED))
        request = ParseRequest.of(
            replace(project.files, artifacts=Path(folder)), project.target, [Selection(select=select)]
        )
        try:
            [found] = parse.parse(request)
        except DbtFailedError as failure:
            said = project.target.redact(failure.output).strip()
            raise ProjectError(
                f"dbt can't resolve the selection {select!r}:\n{said}",
                remedy="Correct the selection; dbt's documentation of node selection has its syntax.",
            ) from None
    if not found:
        raise ProjectError(
            f"The selection {select!r} matches nothing in the dbt project {project.directory}.",
            remedy="See what the project has by `analytics-dagster plan --group GROUP` or `dbt ls`.",
        )
    return found


def require_runnable(select: str, found: frozenset[str], plan: Plan, graph: Graph) -> None:
    """Raise `ProjectError` that says what a selection names, where no schedule group runs any of it by itself."""
    if found & (plan.group_of.keys() | plan.tests.keys()):
        return
    kinds = Counter(
        "ephemeral model" if unique_id in graph.ephemeral else unique_id.partition(".")[0].replace("_", " ")
        for unique_id in found
    )
    listed = ", ".join(pluralize(number, kind) for kind, number in sorted(kinds.items()))
    raise ProjectError(
        f"The selection {select!r} names nothing that a schedule group runs by itself: {listed}.",
        remedy="Select what reads it: in dbt's syntax a `+` behind a name; the job `ingestion` loads landed sources.",
    )


def require_of_groups(select: str, found: frozenset[str], plan: Plan, names: Collection[str]) -> None:
    """Raise `ProjectError` that says where a selection's nodes and tests run, where the named groups run none."""
    runs = {
        group.group.name: group.builds | {test.unique_id for test in group.tests} | set(group.refreshed_tests)
        for group in plan.groups
    }
    if any(found & runs[name] for name in names):
        return
    raise ProjectError(
        f"The selection {select!r} names nothing of {', '.join(names) or 'the groups that are named'}.",
        remedy=f"What it names belongs to {', '.join(name for name in runs if found & runs[name])}: name that, or no "
        "group.",
    )
