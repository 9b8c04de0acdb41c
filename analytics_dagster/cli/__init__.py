"""The location from a terminal, a module a command; none imports Dagster or dbt, which take seconds, before it must."""

from __future__ import annotations

import typer

from analytics_dagster.cli import alerts, build, dev, plan, prepare, retry, schema
from analytics_dagster.cli.doctor import command as doctor_command
from analytics_dagster.cli.init import command as init_command

app = typer.Typer(
    name="analytics-dagster",
    help="A Dagster code location for dbt, from a terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    init_command.init,
    doctor_command.doctor,
    prepare.prepare,
    plan.plan,
    schema.schema,
    build.build,
    retry.retry,
    dev.dev,
):
    app.command()(_command)
app.add_typer(alerts.alerts)
