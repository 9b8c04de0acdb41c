"""Builds the job of each schedule group and the ingestion job, with the tags of their runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.asset_job import AssetJob
from analytics_dagster.planning.groups import GROUP_TAG, PROJECT_TAG, IngestionRuns, ScheduleGroup

POD_TAG = "dagster-k8s/config"
"""The tag of a run from which dagster-k8s configures its pod."""

RETRIES_TAG = "analytics_dagster/retries"
"""The tag of a run with the maximum number of its retries."""

STARTED_BY = "analytics_dagster/started_by"
"""The tag of an ingestion run that the landing sensor started; its value is the sensor's name."""

INGESTION = "ingestion"
"""The name of the ingestion job, and of its asset group."""

AD_HOC = "__ASSET_JOB"
"""Dagster's own job for "Materialize" in the UI. Dagster does not publish the name; a test compares it."""


def build_group_job(
    group: ScheduleGroup,
    *,
    project: str,
    nodes: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey],
    consumers: Collection[dg.AssetKey],
    executor: dg.ExecutorDefinition | None = None,
) -> AssetJob:
    """Return the job of a schedule group, with its nodes, checks and consumers.

    ``nodes`` and ``checks`` include those of other groups that this group refreshes. ``checks`` does not include a
    cross-group test that another group runs. Without ``executor`` the job has the location's executor.
    """
    selection = dg.AssetSelection.assets(*nodes).without_checks() | dg.AssetSelection.checks(*checks)
    return dg.define_asset_job(
        name=group.name,
        selection=selection | dg.AssetSelection.assets(*consumers) if consumers else selection,
        description=f"Builds the schedule group {group.name}, runs its tests, and updates its consumers.",
        tags=run_tags(group, project),
        executor_def=executor,
    )


def run_tags(group: ScheduleGroup, project: str) -> dict[str, Any]:
    """Return the tags of a group's runs: group, project, retries, and pod configuration.

    The number of retries is always set, so that no default of the instance replaces that of the schedule groups file.
    """
    tags: dict[str, Any] = {GROUP_TAG: group.name, **_retry_tags(group.retries, project)}
    pod = _pod(group)
    # Replaces the instance's configuration: merged, a group's request could exceed the instance's limit.
    return {**tags, POD_TAG: {**pod, "merge_behavior": "SHALLOW"}} if pod else tags


def _pod(group: ScheduleGroup) -> dict[str, Any]:
    """Return the pod configuration that a group sets, in the form that dagster-k8s reads."""
    fields = {"resources", "node_selector", "tolerations", "priority_class_name"}
    spec = group.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)
    resources = {name: values for name, values in spec.pop("resources", {}).items() if values}
    container = {"container_config": {"resources": resources}} if resources else {}
    return {**container, **({"pod_spec_config": spec} if spec else {})}


def _retry_tags(retries: int, project: str) -> dict[str, str]:
    return {
        PROJECT_TAG: project,
        RETRIES_TAG: str(retries),
        # Dagster's own retries start at once and after any failure: see `retry_sensors`.
        "dagster/max_retries": "0",
        # A re-execution builds only what failed or was skipped.
        "dagster/retry_strategy": "FROM_ASSET_FAILURE",
    }


def build_ingestion_job(
    ingestion: IngestionRuns,
    *,
    project: str,
    tables: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey],
    executor: dg.ExecutorDefinition | None = None,
) -> AssetJob:
    """Return the job that loads every table with landed files; the groups that read the sources run their dbt tests."""
    return dg.define_asset_job(
        name=INGESTION,
        selection=dg.AssetSelection.assets(*tables).without_checks() | dg.AssetSelection.checks(*checks),
        description="Loads new files of the landing zone into the tables that the dbt sources declare.",
        tags=_retry_tags(ingestion.retries, project),
        executor_def=executor,
    )
