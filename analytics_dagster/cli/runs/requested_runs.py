"""What is typed after `analytics-dagster build`, as what Dagster executes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from analytics_dagster.automation.jobs import INGESTION
from analytics_dagster.cli.plan.lookup import find_group
from analytics_dagster.cli.runs.execution import JobRequest
from analytics_dagster.cli.runs.resolve_request import ResolvedRequest, Scope, require_full_refresh, resolve_request
from analytics_dagster.cli.runs.run_requests import works_of
from analytics_dagster.cli.runs.selection import require_of_groups, require_runnable, resolve_selection
from analytics_dagster.location import Location
from analytics_dagster.project.graph import Graph
from analytics_dagster.settings import Settings


@dataclass(frozen=True)
class BuildRequest:
    """What was typed: schedule groups by name (or ingestion's), a selection in dbt's syntax, and how."""

    groups: tuple[str, ...] = ()
    select: str | None = None
    upstream: bool = False
    full_refresh: bool = False


def requested_works(
    settings: Settings, location: Location, request: BuildRequest, tell: Callable[[str], None]
) -> list[JobRequest]:
    """Return what is to be executed, in order; ``tell`` is called with what is left out, and why.

    Raises `AnalyticsError` for what there is not, what matches nothing, and what is refused.
    """
    plan = location.plan
    known = [*([INGESTION] if location.ingestion.tables else []), *plan.by_name]
    for name in request.groups:
        find_group(name, known)
    choice = _choice(settings, location, request)
    if request.full_refresh:
        require_full_refresh(plan, choice.parts)
    for test, reason in choice.left_out.items():
        tell(f"left out: {test}, since {reason}")
    everything = not request.groups and request.select is None
    return works_of(
        location, choice, ingestion=everything or INGESTION in request.groups, full_refresh=request.full_refresh
    )


def _choice(settings: Settings, location: Location, request: BuildRequest) -> ResolvedRequest:
    plan, graph = location.plan, Graph(location.project.manifest)
    groups = tuple(name for name in plan.by_name if not request.groups or name in request.groups)
    asked = Scope(groups, upstream=request.upstream, unit_tests=settings.unit_tests)
    if request.select is None:
        return resolve_request(plan, graph, asked)
    found = resolve_selection(location.project, request.select)
    require_runnable(request.select, found, plan, graph)
    require_of_groups(request.select, found, plan, groups)
    return resolve_request(plan, graph, replace(asked, selected=found))
