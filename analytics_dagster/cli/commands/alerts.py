"""`analytics-dagster alerts`: send a test message, explain who is notified of a run, monitor Dagster's daemon."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.terminal import JsonOption, error_boundary, print_line, read_settings
from analytics_dagster.errors import AlertError

alerts = typer.Typer(name="alerts", help="Open incidents; who is notified of failures, and how.")

_COLORS = {True: "green", False: "red", None: "yellow"}


@alerts.command("test")
def send_test_message(
    channel: Annotated[list[str] | None, typer.Option(help="A channel; may be repeated. Default: all.")] = None,
) -> None:
    """Send a test message to every channel."""
    with error_boundary():
        from analytics_dagster.cli.alerts.dry_run import send_test  # Dagster takes seconds to import

        results = send_test(read_settings(), channel or [])
        for name, (is_sent, text) in results.items():
            print_line(f"[{_COLORS[is_sent]}]{name}[/]: {escape(text)}")
        outcomes = {is_sent for is_sent, _ in results.values()}
    raise typer.Exit(code=0 if True in outcomes and False not in outcomes else 1)


@alerts.callback(invoke_without_command=True)
def show_alerts(context: typer.Context) -> None:
    """Print the open incidents, the queued notifications, and those that could not be delivered."""
    if context.invoked_subcommand is None:
        list_all()


@alerts.command("list")
def list_all() -> None:
    """Print the open incidents, the queued notifications, and those that could not be delivered."""
    with error_boundary():
        from analytics_dagster.cli.alerts.incidents import list_alerts  # Dagster takes seconds to import
        from analytics_dagster.cli.home import opened_instance

        settings = read_settings()
        with opened_instance(settings) as instance:
            lines = list(list_alerts(settings, instance))
        for line in lines or ["No incident is open, and no notification is queued."]:
            print_line(escape(line))


@alerts.command()
def close(
    incident: Annotated[list[str] | None, typer.Argument(help="The ids of incidents, as `alerts list` shows.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Close all open incidents.")] = False,  # noqa: FBT002
) -> None:
    """Close incidents that will not recover by themselves, and tell their channels."""
    with error_boundary():
        from analytics_dagster.cli.alerts.incidents import close_incidents  # Dagster takes seconds to import
        from analytics_dagster.cli.home import opened_instance

        if bool(incident) is every:
            raise AlertError("Name incidents, or give --all.", remedy="`analytics-dagster alerts list` shows the ids.")
        settings = read_settings()
        with opened_instance(settings) as instance:
            for line in close_incidents(settings, instance, incident or []):
                print_line(escape(line))


@alerts.command()
def explain(
    run_id: Annotated[str, typer.Argument(help="The id of a finished run.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Print who would be notified of a run, and by which rule; sends nothing."""
    with error_boundary():
        from analytics_dagster.alerting.definitions import Alerting  # Dagster takes seconds to import
        from analytics_dagster.cli.alerts.dry_run import explain_run
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
    """Alert if Dagster's daemon, a code location or the queue has stopped. Run it outside of Dagster, regularly."""
    with error_boundary():
        from analytics_dagster.alerting.watch import watch_daemon  # Dagster takes seconds to import
        from analytics_dagster.cli.home import opened_instance
        from analytics_dagster.location import find_load_error

        settings = read_settings()
        with opened_instance(settings) as instance:
            silent, lines = watch_daemon(settings, instance, tolerance, lambda: find_load_error(settings))
        for line in lines:
            print_line(escape(line))
    raise typer.Exit(code=1 if silent else 0)


@alerts.command()
def schema() -> None:
    """Print the JSON schema of the routes file, for editors."""
    typer.echo((files("analytics_dagster") / "alerting" / "routes.schema.json").read_text("utf-8"), nl=False)
