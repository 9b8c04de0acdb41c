"""The command line `analytics-dagster`. No command imports Dagster or dbt, which is slow, before it needs them."""

from __future__ import annotations

import typer

from analytics_dagster.cli.commands import alerts, build, dev, doctor, init, plan, prepare, retry, schema

app = typer.Typer(
    name="analytics-dagster",
    help="A Dagster code location for dbt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    init.init,
    doctor.doctor,
    prepare.prepare,
    plan.plan,
    schema.schema,
    build.build,
    retry.retry,
    dev.dev,
):
    app.command()(_command)
app.add_typer(alerts.alerts)
