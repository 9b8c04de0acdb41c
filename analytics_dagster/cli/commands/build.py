"""`analytics-dagster build`: run ingestion and the schedule groups without a UI."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.commands.prepare import prepare_manifest
from analytics_dagster.cli.terminal import error_boundary, print_line, print_warning, read_settings, show
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import DbtRunner, Settings

if TYPE_CHECKING:
    import dagster as dg

    from analytics_dagster.cli.runs.execution import JobRequest
    from analytics_dagster.cli.runs.run_requests import BuildRequest
    from analytics_dagster.cli.runs.summary import AssetSummary
    from analytics_dagster.location import Location


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
) -> None:
    """Run ingestion and the schedule groups, or parts of them, through Dagster and print a summary."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        if settings.dbt_runner is DbtRunner.WARM:
            # dbt is imported on another core while this process imports Dagster.
            dbt_worker_pool.start()
        prepare_manifest(settings)
        from analytics_dagster.cli.runs.run_requests import BuildRequest  # imports Dagster

        request = BuildRequest(tuple(group or ()), select, upstream=upstream, full_refresh=full_refresh)
        succeeded = _build(settings, request, started)
    raise typer.Exit(code=0 if succeeded else 1)


def _build(settings: Settings, request: BuildRequest, started: float) -> bool:
    from analytics_dagster.cli.home import opened_instance, reset_stale_state  # imports Dagster
    from analytics_dagster.cli.runs.run_requests import job_requests
    from analytics_dagster.location import build_location

    location = build_location(settings)
    requests = job_requests(settings, location, request, print_warning)
    if not requests:
        print_line("Nothing to build.")
        return True
    preload_dbt(settings, location, requests)
    with opened_instance(settings) as instance:
        reset_stale_state(settings, instance)
        succeeded, summaries = run_and_summarize(location, instance, requests, started)
    for name, place in _outputs(settings, location, summaries).items():
        print_line(f"{name:<12} {escape(place)}")
    return succeeded


def preload_dbt(settings: Settings, location: Location, requests: Sequence[JobRequest]) -> None:
    """Let dbt parse the project in its own process, for the first of the jobs that needs it."""
    from analytics_dagster.cli.runs.run_requests import warm_ups  # imports Dagster

    if settings.dbt_runner is DbtRunner.WARM:
        dbt_worker_pool.preload(warm_ups(location, requests))


def run_and_summarize(
    location: Location, instance: dg.DagsterInstance, requests: Sequence[JobRequest], started: float
) -> tuple[bool, Sequence[AssetSummary]]:
    """Execute jobs, and print a line for each asset and why jobs failed; return whether all succeeded, and the lines.

    ``started`` is when the command started, by the monotonic clock.
    """
    from analytics_dagster.cli.runs.execution import execute_jobs, make_retrier  # imports Dagster
    from analytics_dagster.cli.runs.summary import summarize, summary_table

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


def _outputs(settings: Settings, location: Location, summaries: Sequence[AssetSummary]) -> dict[str, str]:
    """Return where the results of a build are, by name."""
    warehouse = (location.definitions.resources or {})["warehouse"]
    outputs = {"warehouse": warehouse.path or f"the {warehouse.adapter} target of the dbt profile"}
    if location.consumers.assets:
        outputs |= {"reports": settings.reports, "exports": settings.outbound}
    docs = location.dbt_assets.docs
    if docs is not None and any(one.key == docs.key and one.is_built for one in summaries):
        outputs |= {"dbt docs": docs.address}
    return {**outputs, "run history": f"{settings.home} (`analytics-dagster dev` shows it)"}
