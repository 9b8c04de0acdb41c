"""`analytics-dagster retry`: run what a failed run did not complete."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from analytics_dagster.cli.commands.build import preload_dbt, run_and_summarize
from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import error_boundary, print_line, read_settings
from analytics_dagster.errors import HomeError
from analytics_dagster.settings import Settings
from analytics_dagster.text import pluralize

if TYPE_CHECKING:
    import dagster as dg

_MAX_RUNS_SEARCHED = 50


def retry(
    run_id: Annotated[str | None, typer.Argument(help="A run. Default: the last one that failed.")] = None,
) -> None:
    """Run what failed or was skipped in a run, and nothing that succeeded."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        prepare_manifest(settings)
        succeeded = _retry(settings, run_id, started)
    raise typer.Exit(code=0 if succeeded else 1)


def _retry(settings: Settings, run_id: str | None, started: float) -> bool:
    from analytics_dagster.cli.home import opened_instance, reset_stale_state  # imports Dagster
    from analytics_dagster.cli.runs.execution import JobRequest
    from analytics_dagster.execution.remaining_work import find_remaining_work
    from analytics_dagster.location import build_location

    location = build_location(settings)
    with opened_instance(settings) as instance:
        reset_stale_state(settings, instance)
        run = _find_run(instance, run_id) if run_id else _last_failed_run(instance, location.project.name)
        remaining = find_remaining_work(instance, run.run_id)
        if not remaining:
            print_line(f"Run {run.run_id} of {run.job_name} has nothing left to run.")
            return True
        what = f"{pluralize(len(remaining.assets), 'asset')} and {pluralize(len(remaining.checks), 'check')}"
        print_line(f"Retrying run {run.run_id} of {run.job_name}: {what} left.")
        requests = [JobRequest.for_remaining(run, remaining)]
        preload_dbt(settings, location, requests)
        succeeded, _ = run_and_summarize(location, instance, requests, started)
    return succeeded


def _find_run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise HomeError(f"There is no run {run_id} in this Dagster home.", remedy="Give a full run id, or none.")
    if not run.is_finished:
        raise HomeError(f"Run {run_id} is still in progress.", remedy="Wait until it ends, or cancel it.")
    return run


def _last_failed_run(instance: dg.DagsterInstance, project: str) -> dg.DagsterRun:
    """Return the project's last run that failed or was canceled, and was not retried; raises `HomeError`."""
    import dagster as dg  # takes seconds to import

    from analytics_dagster.automation.jobs import AD_HOC, INGESTION, PROJECT_TAG
    from analytics_dagster.automation.retry_decision import PARENT

    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
    for run in instance.get_runs(filters=failed, limit=_MAX_RUNS_SEARCHED):
        is_ours = run.tags.get(PROJECT_TAG) == project or run.job_name in {INGESTION, AD_HOC}
        if is_ours and not instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1):
            return run
    raise HomeError("No failed run is left to retry.", remedy="Give the id of a run.")
