"""`analytics-dagster retry`: run what a failed run did not complete."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import AlertsOption, error_boundary, read_settings, start_is_alerted


def retry(
    run_id: Annotated[str | None, typer.Argument(help="A run. Default: the last one that failed.")] = None,
    alerts: AlertsOption = True,  # noqa: FBT002
) -> None:
    """Run what failed or was skipped in a run, and nothing that succeeded."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        with start_is_alerted(settings, "retry", alerts=alerts):
            prepare_manifest(settings)
            from analytics_dagster.cli.runs.session import run_retry  # imports Dagster

            succeeded = run_retry(settings, run_id, started, alerts=alerts)
    raise typer.Exit(code=0 if succeeded else 1)
