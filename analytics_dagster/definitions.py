"""The code location: settings, manifest and plan become one `Definitions`; this module only merges."""

from __future__ import annotations

import dagster as dg

from analytics_dagster.alerting import build_alerting
from analytics_dagster.automation import build_automation
from analytics_dagster.consumers import connect_consumers
from analytics_dagster.ingestion import build_ingestion
from analytics_dagster.project import load_project
from analytics_dagster.settings import Settings, load_settings
from analytics_dagster.transform import build_transform
from analytics_dagster.transform.groups import load_groups
from analytics_dagster.transform.plan import make_plan


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return everything that this location defines; reads one manifest, and opens nothing else.

    Raises `AnalyticsError` where the settings, the project, its profile or its schedule groups can't be used.
    """
    groups = load_groups(settings)
    project = load_project(settings, groups.selections)
    plan = make_plan(groups, project.manifest, project.selected).require()
    transform = build_transform(settings, project, plan)
    ingestion = build_ingestion(settings, project.manifest, transform.sources)
    consumers = connect_consumers(settings, project.manifest, plan, transform)
    return dg.Definitions.merge(
        dg.Definitions(executor=dg.in_process_executor),
        ingestion.definitions,
        transform.definitions,
        dg.Definitions(assets=consumers.assets),
        build_automation(settings, plan, transform, ingestion, consumers),
        build_alerting(settings),
    )


defs = build_definitions(load_settings())
