"""`analytics-dagster build`: run ingestion and the schedule groups without a UI."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import AlertsOption, error_boundary, read_settings, start_is_alerted
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import DbtRunner


def build(
    group: Annotated[list[str] | None, typer.Option(help="A group or `ingestion`; repeatable. Default: all.")] = None,
    select: Annotated[
        str | None, typer.Option(help="Build only these nodes (dbt's selection syntax), each in its group's job.")
    ] = None,
    upstream: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--upstream", help="Also build everything upstream, and ingest the sources that it reads.")
    ] = False,
    full_refresh: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--full-refresh", help="Rebuild incremental models and seeds from scratch.")
    ] = False,
    alerts: AlertsOption = True,  # noqa: FBT002
) -> None:
    """Run ingestion and the schedule groups, or parts of them, through Dagster and print a summary."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        if settings.dbt_runner is DbtRunner.WARM:
            # dbt is imported on another core while this process imports Dagster.
            dbt_worker_pool.start()
        with start_is_alerted(settings, "build", alerts=alerts):
            prepare_manifest(settings)
            from analytics_dagster.cli.runs.run_requests import BuildRequest  # imports Dagster
            from analytics_dagster.cli.runs.session import run_build

            request = BuildRequest(tuple(group or ()), select, upstream=upstream, full_refresh=full_refresh)
            succeeded = run_build(settings, request, started, alerts=alerts)
    raise typer.Exit(code=0 if succeeded else 1)
