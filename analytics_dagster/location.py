"""The code location: settings, manifest and plan become one `Definitions`; this module only merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.alerting.definitions import build_alerting
from analytics_dagster.assets.build import DbtAssets, build_dbt_assets
from analytics_dagster.assets.consumers import Consumer, Consumers, connect_consumers, models_read
from analytics_dagster.assets.dbt_definitions import DbtDefinitions, make_dbt_definitions
from analytics_dagster.assets.definitions_cache import DefinitionsCache
from analytics_dagster.assets.keys import check_asset_keys
from analytics_dagster.automation.build import Parts, build_automation, build_policies
from analytics_dagster.automation.lake_maintenance import build_lake_maintenance
from analytics_dagster.automation.retry_policies import RetryPolicies
from analytics_dagster.dagster_internals import dagster_patches
from analytics_dagster.dagster_internals.gc_paused import mostly_kept
from analytics_dagster.execution.executor import build_executor
from analytics_dagster.execution.failures.attach import Reporter
from analytics_dagster.execution.failures.deployment import make_place
from analytics_dagster.ingestion import Ingestion, build_ingestion
from analytics_dagster.ingestion.tables import landing_sources
from analytics_dagster.planning.build import make_plan
from analytics_dagster.planning.groups import ScheduleGroups
from analytics_dagster.planning.groups_file import load_groups
from analytics_dagster.planning.plan import Plan
from analytics_dagster.project.loading import Announce, Project, load_project, prepare_project
from analytics_dagster.settings import Settings
from analytics_dagster.shop import CONSUMERS
from analytics_dagster.warehouse import count_writers


@dataclass(frozen=True)
class Location:
    """Everything that this location defines, and the parts that it was merged of."""

    definitions: dg.Definitions
    project: Project
    plan: Plan
    dbt_assets: DbtAssets
    ingestion: Ingestion
    consumers: Consumers
    policies: RetryPolicies
    reporter: Reporter


def build_location(settings: Settings) -> Location:
    """Return everything that this location defines, with its parts; reads what was prepared, and opens nothing else.

    Raises `AnalyticsError` where the settings, the project, its profile or its schedule groups can't be used.
    """
    if settings.dagster_shortcuts:
        dagster_patches.apply()
    with mostly_kept():
        loaded = _loaded(settings)
        return _merged(settings, loaded, dg.Definitions(executor=_executor(settings, loaded.project)), None)


def build_guest(settings: Settings) -> dg.Definitions:
    """Return the same for another code location to merge into its own: what is that one's is left as it is.

    The executor is that of our own jobs alone, and nothing of the process is changed. Raises `AnalyticsError`.
    """
    loaded = _loaded(settings)
    return _merged(settings, loaded, dg.Definitions(), _executor(settings, loaded.project)).definitions


@dataclass(frozen=True)
class _Loaded:
    """What was read: the groups' file, the project, and what is known of it."""

    groups: ScheduleGroups
    project: Project
    dbt_definitions: DbtDefinitions


def _loaded(settings: Settings) -> _Loaded:
    groups = load_groups(settings)
    project = load_project(settings, groups.selections)
    return _Loaded(groups, project, _load_dbt_definitions(settings, groups, project))


def _executor(settings: Settings, project: Project) -> dg.ExecutorDefinition:
    return build_executor({}, writers=count_writers(settings, project.target))


def _merged(
    settings: Settings, loaded: _Loaded, whole: dg.Definitions, jobs_executor: dg.ExecutorDefinition | None
) -> Location:
    """Return all parts in one; ``whole`` is what holds for the whole location, ``jobs_executor`` for our jobs alone."""
    project, dbt_definitions = loaded.project, loaded.dbt_definitions
    dbt_assets = build_dbt_assets(settings, project, dbt_definitions)
    ingestion = build_ingestion(settings, dbt_definitions.manifest_subset, dbt_assets.sources)
    consumers = connect_consumers(_consumers(project), settings, dbt_assets)
    parts = Parts(dbt_definitions.plan, dbt_assets, ingestion, consumers, jobs_executor)
    policies = build_policies(loaded.groups, parts)
    reporter = Reporter(lambda: dbt_assets.paths, lambda: make_place(settings, project.target.name))
    definitions = dg.Definitions.merge(
        whole,
        ingestion.definitions,
        dbt_assets.definitions,
        dg.Definitions(assets=consumers.assets),
        build_automation(settings, parts, policies, reporter, project=project.name),
        build_lake_maintenance(settings, project.target),
        build_alerting(settings, project, dbt_definitions.plan, reporter),
    )
    return Location(definitions, project, dbt_definitions.plan, dbt_assets, ingestion, consumers, policies, reporter)


def prepare_location(settings: Settings, announce: Announce) -> bool:
    """Make what every process that loads the location reads, if it is missing or stale.

    Returns whether dbt had to parse; ``announce`` is called with a line before it does. Raises `AnalyticsError`.
    """
    groups = load_groups(settings)
    made = prepare_project(settings, groups.selections, announce)
    project = load_project(settings, groups.selections)
    _write_cache(settings, groups, project)
    return made


def _load_dbt_definitions(settings: Settings, groups: ScheduleGroups, project: Project) -> DbtDefinitions:
    """Return dbt's definitions: from the cache, or new if it is stale; `dagster dev` and `dg` then write the cache."""
    file = _cache(settings, groups, project)
    found = file.read()
    if found is not None:
        return found
    made = _make_dbt_definitions(settings, groups, project)
    if settings.is_dev_cli:
        file.write(made)
    return made


def _write_cache(settings: Settings, groups: ScheduleGroups, project: Project) -> None:
    """Write the cache of dbt's definitions if it is missing or stale.

    A plan with problems has no definitions: `prepare` must succeed so that `plan` can show the problems.
    """
    file = _cache(settings, groups, project)
    if not file.fits and not _plan(groups, project).problems:
        file.write(_make_dbt_definitions(settings, groups, project))


def _cache(settings: Settings, groups: ScheduleGroups, project: Project) -> DefinitionsCache:
    return DefinitionsCache(project, groups, settings.unit_tests)


def _make_dbt_definitions(settings: Settings, groups: ScheduleGroups, project: Project) -> DbtDefinitions:
    plan = _plan(groups, project).require()
    return make_dbt_definitions(project, plan, _manifest_subset(project), unit_tests=settings.unit_tests)


def _plan(groups: ScheduleGroups, project: Project) -> Plan:
    return check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest)


def _manifest_subset(project: Project) -> Mapping[str, Any]:
    """Return what ingestion and consumers read of the manifest."""
    manifest = project.manifest
    return {
        "sources": landing_sources(manifest["sources"]),
        "nodes": models_read(_consumers(project), manifest["nodes"]),
    }


def _consumers(project: Project) -> Sequence[Consumer]:
    return CONSUMERS if project.is_shop else ()
