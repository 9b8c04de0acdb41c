"""`analytics-dagster alerts`: send a test message, explain who is notified of a run, monitor Dagster's daemon."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.terminal import JsonOption, error_boundary, print_line, read_settings

alerts = typer.Typer(name="alerts", help="Who is notified of failures, and how.", no_args_is_help=True)


@alerts.command("test")
def send_test_message(
    channel: Annotated[list[str] | None, typer.Option(help="A channel; may be repeated. Default: all.")] = None,
) -> None:
    """Send a test message to every channel."""
    with error_boundary():
        from analytics_dagster.alerting.dry_run import send_test  # Dagster takes seconds to import

        results = send_test(read_settings(), channel or [])
        for name, error in results.items():
            print_line(f"[red]{name}[/]: {escape(error)}" if error else f"[green]{name}[/]: sent")
        if not results:
            print_line("No channel is set up: docs/settings.md names the variables.")
    raise typer.Exit(code=1 if any(results.values()) else 0)


@alerts.command()
def explain(
    run_id: Annotated[str, typer.Argument(help="The id of a finished run.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Print who would be notified of a run, and by which rule; sends nothing."""
    with error_boundary():
        from analytics_dagster.alerting.definitions import Alerting  # Dagster takes seconds to import
        from analytics_dagster.alerting.dry_run import explain_run
        from analytics_dagster.cli.home import opened_instance
        from analytics_dagster.location import build_location

        settings = read_settings()
        location = build_location(settings)
        alerting = Alerting(settings, location.project, location.plan, location.report_reader)
        with opened_instance(settings) as instance:
            report, lines = explain_run(alerting, location.definitions.get_repository_def(), instance, run_id)
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=2))
        else:
            for line in lines:
                print_line(escape(line))


@alerts.command()
def watch(
    tolerance: Annotated[float, typer.Option(help="Seconds without a heartbeat until an alert.")] = 300.0,
) -> None:
    """Alert if Dagster's daemon has stopped. Run this outside of Dagster, every few minutes."""
    with error_boundary():
        from analytics_dagster.alerting.watch import watch_daemon  # Dagster takes seconds to import
        from analytics_dagster.cli.home import opened_instance

        settings = read_settings()
        with opened_instance(settings) as instance:
            silent, lines = watch_daemon(settings, instance, tolerance)
        for line in lines:
            print_line(escape(line))
    raise typer.Exit(code=1 if silent else 0)


@alerts.command()
def schema() -> None:
    """Print the JSON schema of the routes file, for editors."""
    typer.echo((files("analytics_dagster") / "alerting" / "routes.schema.json").read_text("utf-8"), nl=False)
