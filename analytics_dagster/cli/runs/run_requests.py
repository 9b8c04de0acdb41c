"""Turns the arguments of `analytics-dagster build` into the jobs that Dagster executes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from analytics_dagster.automation.jobs import INGESTION
from analytics_dagster.cli.plan.lookup import find_group
from analytics_dagster.cli.runs.execution import JobRequest
from analytics_dagster.cli.runs.resolve_request import GroupRun, ResolvedRequest, Scope, resolve_request
from analytics_dagster.cli.runs.selection import require_in_groups, require_runnable, resolve_selection
from analytics_dagster.errors import ScheduleGroupError
from analytics_dagster.execution.arguments import RunOptions, make_build
from analytics_dagster.execution.dbt_worker_pool import WarmUp
from analytics_dagster.location import Location
from analytics_dagster.planning.groups import FullRefresh
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.graph import Graph
from analytics_dagster.settings import Settings

_DBT_OP = "dbt_"
"""The prefix of each op that runs dbt."""


@dataclass(frozen=True)
class BuildRequest:
    """The arguments of the command: names of schedule groups or ingestion, a selection in dbt's syntax, and options."""

    groups: tuple[str, ...] = ()
    select: str | None = None
    upstream: bool = False
    full_refresh: bool = False


def job_requests(
    settings: Settings, location: Location, request: BuildRequest, announce: Callable[[str], None]
) -> list[JobRequest]:
    """Return the jobs to execute, in order; ``announce`` is called with a line for each excluded test.

    Raises `AnalyticsError` for an unknown group, a selection that matches nothing, and a refused full refresh.
    """
    known = [*([INGESTION] if location.ingestion.tables else []), *location.plan.by_name]
    for name in request.groups:
        find_group(name, known)
    resolved = _resolve(settings, location, request)
    if request.full_refresh:
        require_full_refresh(location.plan, resolved.runs)
    for test, reason in resolved.excluded.items():
        announce(f"Excluded {test}: {reason}.")
    jobs = {job.name for job in location.definitions.jobs or []}
    load_all = INGESTION in request.groups or (not request.groups and request.select is None)
    requests = _ingestion(location, resolved, load_all=load_all) if INGESTION in jobs else []
    loads = bool(requests)
    for run in resolved.runs:
        if run.group in jobs and (run.whole or run.nodes or run.tests):
            reads_loaded = loads and bool(run.sources & location.ingestion.keys.keys())
            group_request = _group_request(location, run, run.after | ({INGESTION} if reads_loaded else set()))
            requests.append(_with_full_refresh(location, group_request) if request.full_refresh else group_request)
    return requests


def require_full_refresh(plan: Plan, runs: Iterable[GroupRun]) -> None:
    """Raise `ScheduleGroupError` if one of the groups never has a full refresh."""
    groups = dict.fromkeys(run.group for run in runs)
    never = [name for name in groups if plan.by_name[name].group.full_refresh is FullRefresh.NEVER]
    if never:
        raise ScheduleGroupError(
            f"--full-refresh is refused: the schedule groups file sets `full_refresh: never` for {', '.join(never)}.",
            remedy="Select other groups with `--group`, or change the file.",
        )


def _resolve(settings: Settings, location: Location, request: BuildRequest) -> ResolvedRequest:
    plan, graph = location.plan, Graph(location.project.manifest)
    groups = tuple(name for name in plan.by_name if not request.groups or name in request.groups)
    scope = Scope(groups, upstream=request.upstream, unit_tests=settings.unit_tests)
    if request.select is not None:
        found = resolve_selection(location.project, request.select)
        require_runnable(request.select, found, plan, graph)
        require_in_groups(request.select, found, plan, groups)
        scope = replace(scope, selected=found)
    return resolve_request(plan, graph, scope)


def _ingestion(location: Location, resolved: ResolvedRequest, *, load_all: bool) -> list[JobRequest]:
    if load_all:
        return [JobRequest(INGESTION)]
    keys = location.ingestion.keys
    loaded = frozenset(keys[source] for source in resolved.sources if source in keys)
    checks = frozenset(check for check in location.ingestion.checks if check.asset_key in loaded)
    return [JobRequest(INGESTION, loaded, checks)] if loaded else []


def _group_request(location: Location, run: GroupRun, after: frozenset[str]) -> JobRequest:
    if run.whole:
        return JobRequest(run.group, after=after)
    assets = {location.dbt_assets.nodes[node] for node in run.nodes}
    checks = {location.dbt_assets.dbt_definitions.checks[test].key for test in run.tests}
    if run.last:
        consumers = set(location.consumers.started_with.get(run.group, ()))
        assets |= consumers
        checks |= {check for asset in location.consumers.assets if asset.key in consumers for check in asset.check_keys}
    return JobRequest(run.group, frozenset(assets), frozenset(checks), after=after)


def _with_full_refresh(location: Location, request: JobRequest) -> JobRequest:
    """Return the request with the configuration that the launchpad would give each dbt step for a full refresh."""
    job = location.definitions.resolve_job_def(request.job)
    if request.assets is not None:
        job = job.get_subset(asset_selection=request.assets, asset_check_selection=request.checks)
    config: dict[str, Any] = {"config": {"full_refresh": True}}
    steps = {node.name: config for node in job.nodes if node.name.startswith(_DBT_OP)}
    return replace(request, configuration={"ops": steps})


def warm_ups(location: Location, requests: Iterable[JobRequest]) -> list[WarmUp]:
    """Return the warm-ups of dbt for the jobs that use it, in order."""
    dbt, assets = location.dbt_assets.dbt, location.dbt_assets.build_context()
    groups = [location.plan.by_name[request.job].group for request in requests if request.job in location.plan.by_name]
    builds = [make_build((), group, RunOptions(), assets.variables) for group in groups]
    return [dbt.warm_up(assets, build.variables) for build in builds]
