"""`analytics-dagster retry`: run what a failed run did not complete."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import error_boundary, read_settings


def retry(
    run_id: Annotated[str | None, typer.Argument(help="A run. Default: the last one that failed.")] = None,
) -> None:
    """Run what failed or was skipped in a run, and nothing that succeeded."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        prepare_manifest(settings)
        from analytics_dagster.cli.runs.session import run_retry  # imports Dagster

        succeeded = run_retry(settings, run_id, started)
    raise typer.Exit(code=0 if succeeded else 1)
