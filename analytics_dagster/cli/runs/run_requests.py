"""Choices of dbt nodes and tests as what Dagster executes: jobs, or the assets and checks of them that are meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from analytics_dagster.automation.jobs import INGESTION
from analytics_dagster.cli.runs.execution import JobRequest
from analytics_dagster.cli.runs.resolve_request import GroupRun, ResolvedRequest
from analytics_dagster.execution.arguments import RunOptions, make_build
from analytics_dagster.execution.dbt_worker_pool import WarmUp
from analytics_dagster.location import Location

_OP = "dbt_"
"""What the name of each op begins with that runs dbt."""


def works_of(location: Location, choice: ResolvedRequest, *, ingestion: bool, full_refresh: bool) -> list[JobRequest]:
    """Return the works of a choice, in order.

    ``ingestion`` says whether all landed tables are loaded first, else those of the sources that the choice names.
    """
    jobs = {job.name for job in location.definitions.jobs or []}
    works = list(_ingestion(location, choice, everything=ingestion)) if INGESTION in jobs else []
    loads = bool(works)
    for part in choice.parts:
        if part.group in jobs and (part.whole or part.nodes or part.tests):
            work = _work(location, part, first={INGESTION} if loads and _is_loaded(location, part) else set())
            works.append(_refreshed(location, work) if full_refresh else work)
    return works


def _ingestion(location: Location, choice: ResolvedRequest, *, everything: bool) -> Iterator[JobRequest]:
    keys = location.ingestion.keys
    if everything:
        yield JobRequest(INGESTION)
        return
    loaded = frozenset(keys[source] for source in choice.sources if source in keys)
    if loaded:
        checks = frozenset(check for check in location.ingestion.checks if check.asset_key in loaded)
        yield JobRequest(INGESTION, loaded, checks)


def _is_loaded(location: Location, part: GroupRun) -> bool:
    return bool(part.sources & location.ingestion.keys.keys())


def _work(location: Location, part: GroupRun, first: set[str]) -> JobRequest:
    after = part.after | first
    if part.whole:
        return JobRequest(part.group, after=after)
    assets = {location.dbt_assets.nodes[node] for node in part.nodes}
    checks = {location.dbt_assets.dbt_definitions.checks[test].key for test in part.tests}
    if part.last:
        consumers = set(location.consumers.started_with.get(part.group, ()))
        assets |= consumers
        checks |= {check for asset in location.consumers.assets if asset.key in consumers for check in asset.check_keys}
    return JobRequest(part.group, frozenset(assets), frozenset(checks), after=after)


def _refreshed(location: Location, work: JobRequest) -> JobRequest:
    """Return the work with each of its dbt steps asked for a full refresh, as the launchpad would."""
    job = location.definitions.resolve_job_def(work.job)
    if work.assets is not None:
        job = job.get_subset(asset_selection=work.assets, asset_check_selection=work.checks)
    asked: dict[str, Any] = {"config": {"full_refresh": True}}
    steps = {node.name: asked for node in job.nodes if node.name.startswith(_OP)}
    return replace(work, configuration={"ops": steps})


def warm_ups(location: Location, works: Iterable[JobRequest]) -> list[WarmUp]:
    """Return the warm-ups of dbt for the jobs that use it, in their order."""
    dbt, assets = location.dbt_assets.dbt, location.dbt_assets.build_context()
    groups = [location.plan.by_name[work.job].group for work in works if work.job in location.plan.by_name]
    builds = [make_build((), group, RunOptions(), assets.variables) for group in groups]
    return [dbt.warm_up(assets, build.variables) for build in builds]


def asset_groups(definitions: dg.Definitions) -> dict[dg.AssetKey, str]:
    """Return the asset group of every asset."""
    graph = definitions.resolve_asset_graph()
    keys: Iterable[dg.AssetKey] = graph.get_all_asset_keys()
    return {key: graph.get(key).group_name for key in keys}
