"""The code location: settings, manifest and plan become one `Definitions`; this module only merges."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from analytics_dagster.alerting import build_alerting
from analytics_dagster.automation import build_automation
from analytics_dagster.consumers import Consumers, connect_consumers
from analytics_dagster.executor import build_executor
from analytics_dagster.ingestion import Ingestion, build_ingestion
from analytics_dagster.project import Project, load_project
from analytics_dagster.settings import Settings
from analytics_dagster.transform import Transform, build_transform
from analytics_dagster.transform.groups import load_groups
from analytics_dagster.transform.keys import check_asset_keys
from analytics_dagster.transform.plan import Plan, make_plan
from analytics_dagster.warehouse import count_writers


@dataclass(frozen=True)
class Location:
    """Everything that this location defines, and the parts that it was merged of."""

    definitions: dg.Definitions
    project: Project
    plan: Plan
    transform: Transform
    ingestion: Ingestion
    consumers: Consumers


def build_location(settings: Settings) -> Location:
    """Return everything that this location defines, with its parts; reads one manifest, and opens nothing else.

    Raises `AnalyticsError` where the settings, the project, its profile or its schedule groups can't be used.
    """
    groups = load_groups(settings)
    project = load_project(settings, groups.selections)
    plan = check_asset_keys(make_plan(groups, project.manifest, project.selected), project.manifest).require()
    transform = build_transform(settings, project, plan)
    ingestion = build_ingestion(settings, project.manifest, transform.sources)
    consumers = connect_consumers(settings, project.manifest, plan, transform)
    definitions = dg.Definitions.merge(
        dg.Definitions(executor=build_executor({}, writers=count_writers(settings, project.target))),
        ingestion.definitions,
        transform.definitions,
        dg.Definitions(assets=consumers.assets),
        build_automation(settings, plan, transform, ingestion, consumers, project=project.dbt.name),
        build_alerting(settings),
    )
    return Location(definitions, project, plan, transform, ingestion, consumers)
