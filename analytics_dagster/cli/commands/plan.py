"""`analytics-dagster plan`: what would run, printed for people or machines."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from analytics_dagster.cli.terminal import error_boundary, print_stderr, read_settings, show
from analytics_dagster.errors import ScheduleGroupError

if TYPE_CHECKING:
    from analytics_dagster.cli.plan.planned_project import PlannedProject


def plan(
    group: Annotated[str | None, typer.Option(help="Explain one schedule group.")] = None,
    node: Annotated[
        str | None, typer.Option(help="Explain one node or test: its unique id, its name, or the end of its unique id.")
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--json", help="Print it for machines.")
    ] = False,
) -> None:
    """Show what each schedule group runs, in which order, and what is wrong; needs no warehouse."""
    with error_boundary():
        if group is not None and node is not None:
            raise ScheduleGroupError("A group and a node can't be explained at once.", remedy="Name one of them.")
        settings = read_settings()
        from analytics_dagster.cli.plan.planned_project import plan_project  # imports Dagster

        planned = plan_project(settings, print_stderr)
        if planned.profile_error is not None:
            reason = planned.profile_error.problem
            print_stderr(f"Parsed with a placeholder for the dbt profile (DuckDB in memory), since: {reason}")
        if as_json:
            typer.echo(_as_json(planned, group, node))
        else:
            show(_for_people(planned, group, node))
    raise typer.Exit(code=1 if planned.plan.problems else 0)


def _as_json(planned: PlannedProject, group: str | None, node: str | None) -> str:
    from analytics_dagster.cli.plan.document import node_document, plan_document
    from analytics_dagster.cli.plan.lookup import find_group  # imports Dagster

    if node is not None:
        document = node_document(planned, _node(planned, node))
    else:
        known = list(planned.plan.by_name)
        document = plan_document(planned, _now(), find_group(group, known) if group is not None else None)
    return json.dumps(document, indent=2)


def _for_people(planned: PlannedProject, group: str | None, node: str | None) -> RenderableType:
    from analytics_dagster.cli.plan.explanation import explain  # imports Dagster
    from analytics_dagster.cli.plan.lookup import find_group
    from analytics_dagster.cli.plan.report import group_report, node_report, plan_report

    if node is not None:
        return node_report(planned, explain(planned, _node(planned, node)))
    if group is not None:
        return group_report(planned, find_group(group, list(planned.plan.by_name)), _now())
    return plan_report(planned, _now())


def _node(planned: PlannedProject, wanted: str) -> str:
    from analytics_dagster.cli.plan.lookup import find_node, names_of  # imports Dagster

    return find_node(wanted, names_of(planned.project.manifest, planned.name))


def _now() -> datetime:
    return datetime.now(tz=timezone.utc)
