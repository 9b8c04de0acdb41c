"""`analytics-dagster plan`: print what would run, for people or machines."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated

import typer

from analytics_dagster.cli.terminal import JsonOption, error_boundary, print_stderr, read_settings, show
from analytics_dagster.errors import ScheduleGroupError


def plan(
    group: Annotated[str | None, typer.Option(help="Explain one schedule group.")] = None,
    node: Annotated[
        str | None, typer.Option(help="Explain one node or test: its unique id, its name, or the end of its unique id.")
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show what each schedule group runs, in which order, and what is wrong; needs no warehouse."""
    with error_boundary():
        if group is not None and node is not None:
            raise ScheduleGroupError("--group and --node can't be combined.", remedy="Use one of them.")
        settings = read_settings()
        from analytics_dagster.cli.plan.document import node_document, plan_document  # imports Dagster
        from analytics_dagster.cli.plan.explanation import explain
        from analytics_dagster.cli.plan.lookup import find_group, find_node, names_of
        from analytics_dagster.cli.plan.planned_project import plan_project
        from analytics_dagster.cli.plan.report import group_report, node_report, plan_report

        planned, now = plan_project(settings, print_stderr), datetime.now(tz=timezone.utc)
        if planned.profile_error is not None:
            print_stderr(f"Parsed with a placeholder profile (DuckDB, in memory): {planned.profile_error.problem}")
        if group is not None:
            group = find_group(group, list(planned.plan.by_name))
        unique_id = find_node(node, names_of(planned.project.manifest, planned.name)) if node is not None else None
        if as_json:
            document = node_document(planned, unique_id) if unique_id else plan_document(planned, now, group)
            typer.echo(json.dumps(document, indent=2))
        elif unique_id:
            show(node_report(planned, explain(planned, unique_id)))
        else:
            show(group_report(planned, group, now) if group else plan_report(planned, now))
    raise typer.Exit(code=1 if planned.plan.problems else 0)
