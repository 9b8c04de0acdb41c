"""`analytics-dagster init`: write the files that a dbt project needs, next to it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from analytics_dagster.cli.terminal import error_boundary, print_line, print_stderr, show

if TYPE_CHECKING:
    from analytics_dagster.cli.init.scaffold import ScaffoldResult


def init(
    dbt_project: Annotated[Path, typer.Option(help="The folder of dbt_project.yml. It is not changed.")] = Path(),
    into: Annotated[Path | None, typer.Option(help="The folder to write to. Default: <project>-dagster.")] = None,
) -> None:
    """Write settings, schedule groups, workspace and Helm values for a dbt project; can be repeated at any time."""
    with error_boundary():
        from analytics_dagster.cli.init.scaffold import scaffold  # imports Dagster

        result = scaffold(dbt_project, into, print_stderr)
        _print(result)
    raise typer.Exit(code=1 if result.planned.plan.problems else 0)


def _print(result: ScaffoldResult) -> None:
    from analytics_dagster.cli.plan.report import plan_report  # imports Dagster

    show(plan_report(result.planned, datetime.now(tz=timezone.utc)))
    error = result.planned.profile_error
    if error is not None:
        print_line(
            f"\n[yellow]Nothing can be built yet[/]: {escape(error.problem)}\n  [bold]-> {escape(error.remedy)}[/]"
        )
    files = Table.grid(padding=(0, 2))
    for name, outcome in result.outcomes.items():
        files.add_row(f"  {escape(name)}", f"[dim]{outcome.value}[/]")
    print_line(f"\n[bold]{escape(str(result.folder))}[/]")
    show(files)
    print_line("\nIn this folder, run:")
    print_line("  analytics-dagster build    [dim]# runs every group once[/]")
    print_line("  analytics-dagster dev      [dim]# opens the UI[/]")
