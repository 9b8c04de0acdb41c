"""`analytics-dagster init`: what a team needs beside its dbt project."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from analytics_dagster.cli.terminal import error_boundary, print_stderr, say, show

if TYPE_CHECKING:
    from analytics_dagster.cli.init.adopting import Adoption


def init(
    dbt_project: Annotated[
        Path, typer.Option(help="The folder of your dbt_project.yml, in which nothing is changed.")
    ] = Path(),
    into: Annotated[
        Path | None, typer.Option(help="Where to write; a folder beside the project, named after it, without.")
    ] = None,
) -> None:
    """Write settings, schedule groups, workspace and Helm values for a dbt project; may be run again at any time."""
    with error_boundary():
        from analytics_dagster.cli.init.adopting import adopt  # imports Dagster

        adoption = adopt(dbt_project, into, print_stderr)
        _tell(adoption)
    raise typer.Exit(code=1 if adoption.planned.plan.problems else 0)


def _tell(adoption: Adoption) -> None:
    from analytics_dagster.cli.plan.report import plan_report  # imports Dagster

    show(plan_report(adoption.planned, datetime.now(tz=timezone.utc)))
    if adoption.planned.profile_error is not None:
        reason = adoption.planned.profile_error
        say(f"\n[yellow]Nothing can be built yet[/]: {escape(reason.problem)}\n  [bold]-> {escape(reason.remedy)}[/]")
    files = Table.grid(padding=(0, 2))
    for name, outcome in adoption.outcomes.items():
        files.add_row(f"  {escape(name)}", f"[dim]{outcome.value}[/]")
    say(f"\n[bold]{escape(str(adoption.folder))}[/]")
    show(files)
    say("\nThere, type:")
    say("  analytics-dagster build    [dim]# runs every group once[/]")
    say("  analytics-dagster dev      [dim]# opens the UI[/]")
