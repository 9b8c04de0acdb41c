"""`analytics-dagster doctor`: whether this installation works, and what to do where it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from analytics_dagster.cli.terminal import read_settings, show

if TYPE_CHECKING:
    from analytics_dagster.cli.doctor.finding import Finding

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[bold red]error[/]"}


def doctor(
    as_json: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--json", help="Print it for machines.")
    ] = False,
) -> None:
    """Check this installation: versions, settings, dbt, warehouse, storage, channels; tell the remedy of each fault."""
    from analytics_dagster.cli.doctor.runner import examine, is_well  # imports Dagster

    findings = list(examine(read_settings))
    if as_json:
        typer.echo(json.dumps({"well": is_well(findings), "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        show(_table(findings))
    raise typer.Exit(code=0 if is_well(findings) else 1)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for finding in findings:
        remedy = f"\n[bold]-> {escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(escape(finding.check), _MARKS[finding.status.value], f"{escape(finding.said)}{remedy}")
    return table
