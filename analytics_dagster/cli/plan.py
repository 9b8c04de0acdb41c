"""`analytics-dagster plan`: what would run, printed for people or machines."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from analytics_dagster.cli.terminal import read_settings, say_aside, show, told_errors
from analytics_dagster.errors import ScheduleGroupError

if TYPE_CHECKING:
    from analytics_dagster.cli.read_plan import Planned


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
    with told_errors():
        if group is not None and node is not None:
            raise ScheduleGroupError("A group and a node can't be explained at once.", remedy="Name one of them.")
        settings = read_settings()
        from analytics_dagster.cli.read_plan import plan_project  # imports Dagster

        planned = plan_project(settings, say_aside)
        if planned.stand_in is not None:
            reason = planned.stand_in.problem
            say_aside(f"Parsed with a stand-in for the dbt profile (DuckDB, in memory), since: {reason}")
        if as_json:
            typer.echo(_as_json(planned, group, node))
        else:
            show(_for_people(planned, group, node))
    raise typer.Exit(code=1 if planned.plan.problems else 0)


def _as_json(planned: Planned, group: str | None, node: str | None) -> str:
    from analytics_dagster.cli.lookup import find_group  # imports Dagster
    from analytics_dagster.cli.plan_document import node_document, plan_document

    if node is not None:
        document = node_document(planned, _node(planned, node))
    else:
        known = list(planned.plan.by_name)
        document = plan_document(planned, _now(), find_group(group, known) if group is not None else None)
    return json.dumps(document, indent=2)


def _for_people(planned: Planned, group: str | None, node: str | None) -> RenderableType:
    from analytics_dagster.cli.explanation import explain  # imports Dagster
    from analytics_dagster.cli.lookup import find_group
    from analytics_dagster.cli.plan_report import group_report, node_report, plan_report

    if node is not None:
        return node_report(planned, explain(planned, _node(planned, node)))
    if group is not None:
        return group_report(planned, find_group(group, list(planned.plan.by_name)), _now())
    return plan_report(planned, _now())


def _node(planned: Planned, wanted: str) -> str:
    from analytics_dagster.cli.lookup import find_node, names_of  # imports Dagster

    return find_node(wanted, names_of(planned.project.manifest, planned.name))


def _now() -> datetime:
    return datetime.now(tz=timezone.utc)
