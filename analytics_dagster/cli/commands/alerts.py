"""`analytics-dagster alerts`: send a test message, say who would hear of a run, watch Dagster's daemon from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.instance import opened_instance
from analytics_dagster.cli.terminal import error_boundary, read_settings, say

if TYPE_CHECKING:
    import dagster as dg

    from analytics_dagster.alerting.definitions import Alerting

alerts = typer.Typer(name="alerts", help="Who hears of failures, and through which channel.", no_args_is_help=True)


@alerts.command("test")
def try_channels(
    channel: Annotated[list[str] | None, typer.Option(help="A channel of the routes; all of them without.")] = None,
) -> None:
    """Send a test message to every channel."""
    with error_boundary():
        from analytics_dagster.alerting.dry_run import send_test  # Dagster takes seconds to import

        settings = read_settings()
        results = send_test(settings, channel or [])
        for name, error in results.items():
            say(f"[red]{name}[/]: {escape(error)}" if error else f"[green]{name}[/]: sent")
        if not results:
            say("No channel is set up: docs/settings.md names the variables.")
    raise typer.Exit(code=1 if any(results.values()) else 0)


@alerts.command()
def explain(
    run_id: Annotated[str, typer.Argument(help="The id of a run that has ended.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the failure report for machines.")] = False,  # noqa: FBT002
) -> None:
    """Say who would hear of a run, and by which rule; sends nothing."""
    with error_boundary():
        from analytics_dagster.alerting.dry_run import explain_run  # see `try_channels`

        with _opened() as (alerting, repository, instance):
            report, lines = explain_run(alerting, repository, instance, run_id)
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=2))
        else:
            for line in lines:
                say(escape(line))


@alerts.command()
def watch(
    tolerance: Annotated[float, typer.Option(help="After how many seconds without a heartbeat it is down.")] = 300.0,
) -> None:
    """Tell people if Dagster's daemon has stopped beating; made to run outside it, every few minutes."""
    with error_boundary():
        from analytics_dagster.alerting.watch import watch_daemon  # see `try_channels`

        settings = read_settings()
        with opened_instance(settings) as instance:
            silent, lines = watch_daemon(settings, instance, tolerance)
        for line in lines:
            say(escape(line))
    raise typer.Exit(code=1 if silent else 0)


@alerts.command()
def schema() -> None:
    """Print the JSON schema of the routes' file, for editors."""
    typer.echo((files("analytics_dagster") / "alerting" / "routes.schema.json").read_text("utf-8"), nl=False)


@contextmanager
def _opened() -> Iterator[tuple[Alerting, dg.RepositoryDefinition, dg.DagsterInstance]]:
    from analytics_dagster.alerting.definitions import Alerting  # see `try_channels`
    from analytics_dagster.location import build_location

    settings = read_settings()
    location = build_location(settings)
    alerting = Alerting(settings, location.project, location.plan, location.report_reader)
    with opened_instance(settings) as instance:
        yield alerting, location.definitions.get_repository_def(), instance
