"""`analytics-dagster build`: ingestion and the schedule groups, without a UI."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from analytics_dagster.cli.commands.prepare import make_ready
from analytics_dagster.cli.instance import opened_instance, reset_stale_state
from analytics_dagster.cli.terminal import error_boundary, read_settings, say, show, warn
from analytics_dagster.execution import dbt_worker_pool
from analytics_dagster.settings import DbtRunner, Settings

if TYPE_CHECKING:
    from analytics_dagster.cli.runs.execution import JobResult
    from analytics_dagster.cli.runs.requested_runs import BuildRequest
    from analytics_dagster.cli.runs.summary import AssetSummary


def build(
    group: Annotated[
        list[str] | None, typer.Option(help="A schedule group; several by repeating it. All, and ingestion, without.")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Just these nodes, in dbt's selection syntax, each in its group's job.")
    ] = None,
    upstream: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--upstream", help="Also all that they read, and the ingestion of the sources needed.")
    ] = False,
    full_refresh: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--full-refresh", help="Rebuild incremental models and seeds from scratch.")
    ] = False,
) -> None:
    """Run ingestion and the schedule groups, or parts of them, through Dagster, and print what came of it."""
    started = time.monotonic()
    with error_boundary():
        settings = read_settings()
        if settings.dbt_runner is DbtRunner.WARM:
            # It takes as long to import as Dagster, for which there is another core.
            dbt_worker_pool.start()
        make_ready(settings)
        from analytics_dagster.cli.runs.requested_runs import BuildRequest  # imports Dagster

        request = BuildRequest(tuple(group or ()), select, upstream=upstream, full_refresh=full_refresh)
        succeeded = _build(settings, request, started)
    raise typer.Exit(code=0 if succeeded else 1)


def _build(settings: Settings, request: BuildRequest, started: float) -> bool:
    # Dagster takes seconds to import: not before the settings are known to be right, and not for `--help`.
    from analytics_dagster.assets.consumers import GROUP as CONSUMERS
    from analytics_dagster.cli.runs.execution import execute_jobs
    from analytics_dagster.cli.runs.requested_runs import requested_works
    from analytics_dagster.cli.runs.retrying import make_retrier
    from analytics_dagster.cli.runs.run_requests import asset_groups, warm_ups
    from analytics_dagster.cli.runs.summary import Status, summarize
    from analytics_dagster.location import build_location

    location = build_location(settings)
    works = requested_works(settings, location, request, warn)
    if not works:
        say("There is nothing to build.")
        return True
    with opened_instance(settings) as instance:
        if settings.dbt_runner is DbtRunner.WARM:
            dbt_worker_pool.preload(warm_ups(location, works))
        groups = asset_groups(location.definitions)
        reset_stale_state(settings, instance)
        retrier = make_retrier(location, instance, warn)
        results = execute_jobs(location.definitions, works, instance=instance, retrier=retrier)
        lines = summarize(instance, results, groups)
    succeeded = show_summary(results, lines, started)
    warehouse = (location.definitions.resources or {})["warehouse"]
    where = {"warehouse": warehouse.path or f"the {warehouse.adapter} target of the dbt profile"}
    if CONSUMERS in groups.values():
        where |= {"reports": settings.reports, "exports": settings.outbound}
    docs = location.dbt_assets.docs
    if docs is not None and any(line.key == docs.key and line.status is Status.BUILT for line in lines):
        where |= {"dbt docs": docs.address}
    for what, place in {**where, "run history": f"{settings.home} (`analytics-dagster dev` shows it)"}.items():
        say(f"{what:<12} {escape(place)}")
    return succeeded


def show_summary(results: Sequence[JobResult], lines: Sequence[AssetSummary], started: float) -> bool:
    """Print a line for each asset, and why jobs failed; return whether all succeeded."""
    from analytics_dagster.cli.runs.summary import summary_table  # imports Dagster

    show(summary_table(lines, seconds=time.monotonic() - started))
    for result in results:
        if not result.succeeded:
            show(f"[red]{result.job}[/]: {result.reason or f'run {result.run_id} failed'}")
    return all(result.succeeded for result in results)
