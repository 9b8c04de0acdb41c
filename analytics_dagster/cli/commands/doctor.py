"""`analytics-dagster doctor`: check this installation and name the remedy of each problem."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from analytics_dagster.cli.terminal import JsonOption, read_settings, show

if TYPE_CHECKING:
    from analytics_dagster.cli.doctor.result import CheckResult

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[bold red]error[/]"}


def doctor(as_json: JsonOption = False) -> None:  # noqa: FBT002 - an option of the command line
    """Check versions, settings, dbt, warehouse, storage and channels, and print a remedy for each problem."""
    from analytics_dagster.cli.doctor.runner import has_error, run_checks  # imports Dagster

    results = list(run_checks(lambda: read_settings(warn=False)))
    failed = has_error(results)
    if as_json:
        typer.echo(json.dumps({"well": not failed, "findings": [one.to_json() for one in results]}, indent=2))
    else:
        show(_table(results))
    raise typer.Exit(code=1 if failed else 0)


def _table(results: Sequence[CheckResult]) -> Table:
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("result", overflow="fold")
    for one in results:
        remedy = f"\n[bold]-> {escape(one.remedy)}[/]" if one.remedy else ""
        table.add_row(escape(one.check), _MARKS[one.status.value], f"{escape(one.message)}{remedy}")
    return table
