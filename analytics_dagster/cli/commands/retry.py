"""`analytics-dagster retry`: what a run left to do, and nothing else."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from analytics_dagster.cli.commands.build import show_summary
from analytics_dagster.cli.commands.prepare import make_ready
from analytics_dagster.cli.instance import opened_instance, reset_stale_state
from analytics_dagster.cli.terminal import error_boundary, read_settings, say, warn
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import DbtRunner, Settings
from analytics_dagster.text import pluralize


def retry(
    run_id: Annotated[str | None, typer.Argument(help="A run; the last one that failed without.")] = None,
) -> None:
    """Run again what failed and what was skipped of a run, and nothing that worked."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        make_ready(settings)
        succeeded = _retry(settings, run_id, started)
    raise typer.Exit(code=0 if succeeded else 1)


def _retry(settings: Settings, run_id: str | None, started: float) -> bool:
    from analytics_dagster.cli.runs.execution import execute_jobs  # imports Dagster
    from analytics_dagster.cli.runs.retrying import make_retrier, retried_work
    from analytics_dagster.cli.runs.run_requests import asset_groups, warm_ups
    from analytics_dagster.cli.runs.summary import summarize
    from analytics_dagster.location import build_location

    location = build_location(settings)
    with opened_instance(settings) as instance:
        reset_stale_state(settings, instance)
        run, work, remaining = retried_work(instance, location.project.name, run_id)
        if work is None:
            say(f"Nothing of run {run.run_id} of {run.job_name} is left to do.")
            return True
        what = f"{pluralize(len(remaining.assets), 'asset')} and {pluralize(len(remaining.checks), 'check')}"
        say(f"Run {run.run_id} of {run.job_name} left {what}: they are run again.")
        if settings.dbt_runner is DbtRunner.WARM:
            dbt_worker_pool.preload(warm_ups(location, [work]))
        retrier = make_retrier(location, instance, warn)
        results = execute_jobs(location.definitions, [work], instance=instance, retrier=retrier)
        lines = summarize(instance, results, asset_groups(location.definitions))
    return show_summary(results, lines, started)
