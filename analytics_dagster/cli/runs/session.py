"""What `build` and `retry` do: execute jobs in an opened Dagster home and print a summary."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import dagster as dg
from rich.markup import escape

from analytics_dagster.automation.jobs import AD_HOC, INGESTION
from analytics_dagster.automation.retry_decision import PARENT
from analytics_dagster.cli.alerts.notify import notify
from analytics_dagster.cli.home import opened_instance, reset_stale_state
from analytics_dagster.cli.runs.execution import JobRequest, execute_jobs, make_retrier
from analytics_dagster.cli.runs.run_requests import BuildRequest, job_requests, warm_ups
from analytics_dagster.cli.runs.summary import AssetSummary, summarize, summary_table
from analytics_dagster.cli.terminal import print_line, print_warning, show
from analytics_dagster.errors import HomeError
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.execution.remaining_work import find_remaining_work
from analytics_dagster.location import Location, build_location
from analytics_dagster.planning.groups import PROJECT_TAG
from analytics_dagster.settings import DbtRunner, Settings
from analytics_dagster.text import pluralize

_MAX_RUNS_SEARCHED = 50


def run_build(settings: Settings, request: BuildRequest, started: float, *, alerts: bool) -> bool:
    """Run what is requested, and print where the results are; return whether everything succeeded.

    ``started`` is when the command started, by the monotonic clock; ``alerts`` is whether alerts are sent.
    """
    location = build_location(settings)
    requests = job_requests(settings, location, request, print_warning)
    if not requests:
        what = ", ".join(request.groups)
        print_line(f"Nothing to build: {f'{escape(what)} has' if what else 'the schedule groups have'} no nodes.")
        return True
    _preload_dbt(settings, location, requests)
    with opened_instance(settings) as instance:
        reset_stale_state(settings, instance)
        succeeded, summaries = _run_and_summarize(location, instance, requests, started)
        if alerts:
            notify(settings, location, instance, "build", time.time() - (time.monotonic() - started))
    for name, place in _outputs(settings, location, summaries).items():
        print_line(f"{name:<12} {escape(place)}")
    return succeeded


def run_retry(settings: Settings, run_id: str | None, started: float, *, alerts: bool) -> bool:
    """Run what a run did not complete, by default the last one that failed; return whether everything succeeded."""
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
        _preload_dbt(settings, location, requests)
        succeeded, _ = _run_and_summarize(location, instance, requests, started)
        if alerts:
            notify(settings, location, instance, "retry", time.time() - (time.monotonic() - started))
    return succeeded


def _preload_dbt(settings: Settings, location: Location, requests: Sequence[JobRequest]) -> None:
    """Let dbt parse the project in its own process, for the first of the jobs that needs it."""
    if settings.dbt_runner is DbtRunner.WARM:
        dbt_worker_pool.preload(warm_ups(location, requests))


def _run_and_summarize(
    location: Location, instance: dg.DagsterInstance, requests: Sequence[JobRequest], started: float
) -> tuple[bool, Sequence[AssetSummary]]:
    """Execute jobs, and print a line for each asset and why jobs failed; return whether all succeeded, and lines."""
    graph = location.definitions.resolve_asset_graph()
    groups = {key: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    retrier = make_retrier(location, instance, print_warning)
    results = execute_jobs(location.definitions, requests, instance=instance, retrier=retrier)
    summaries = summarize(instance, results, groups)
    show(summary_table(summaries, seconds=time.monotonic() - started))
    for result in results:
        if not result.succeeded:
            show(f"[red]{result.job}[/]: {result.reason or f'run {result.run_id} failed'}")
    return all(result.succeeded for result in results), summaries


def _outputs(settings: Settings, location: Location, summaries: Sequence[AssetSummary]) -> Mapping[str, str]:
    """Return where the results of a build are, by name."""
    warehouse = (location.definitions.resources or {})["warehouse"]
    outputs = {"warehouse": warehouse.path or f"the {warehouse.adapter} target of the dbt profile"}
    if location.consumers.assets:
        outputs |= {"reports": settings.reports, "exports": settings.outbound}
    docs = location.dbt_assets.docs
    if docs is not None and any(one.key == docs.key and one.is_built for one in summaries):
        outputs |= {"dbt docs": docs.address}
    return {**outputs, "run history": f"{settings.home} (`analytics-dagster dev` shows it)"}


def _find_run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise HomeError(
            f"There is no run {run_id} in this Dagster home.",
            remedy="Give a full run id, or none to retry the last failed run.",
        )
    if not run.is_finished:
        raise HomeError(f"Run {run_id} is still in progress.", remedy="Wait until it ends, or cancel it.")
    return run


def _last_failed_run(instance: dg.DagsterInstance, project: str) -> dg.DagsterRun:
    """Return the project's last run that failed or was canceled, and was not retried; raises `HomeError`."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
    for run in instance.get_runs(filters=failed, limit=_MAX_RUNS_SEARCHED):
        # A run of "Materialize" in the UI, or of ingestion in an earlier version, has no tag of its project.
        untagged = project if run.job_name in {INGESTION, AD_HOC} else None
        is_ours = run.tags.get(PROJECT_TAG, untagged) == project
        if is_ours and not instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1):
            return run
    raise HomeError("No failed run is left to retry.", remedy="Give the id of a run.")
