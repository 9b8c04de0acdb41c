"""One job for each schedule group, and one for ingestion."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from analytics_dagster.planning.groups import IngestionRuns, ScheduleGroup
from analytics_dagster.planning.pods import Toleration

if TYPE_CHECKING:
    # What `define_asset_job` returns has no public name; only the type checker needs one. A test names its class.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    AssetJob: TypeAlias = UnresolvedAssetJobDefinition

GROUP_TAG = "analytics_dagster/schedule_group"
"""The tag of a run that says of which schedule group it is."""

PROJECT_TAG = "analytics_dagster/project"
"""The tag of a run that says of which dbt project it is: two locations may have groups of the same names."""

POD_TAG = "dagster-k8s/config"
"""The tag of a run by which dagster-k8s makes its pod another than those of other runs."""

RETRIES_TAG = "analytics_dagster/retries"
"""The tag of a run that says how often it may be run again."""

INGESTION = "ingestion"
"""The name of the job that loads the landing zone, and of its asset group."""

AD_HOC = "__ASSET_JOB"
"""The job of what somebody materializes in the UI: a name of Dagster's that is not public; a test compares them."""


def build_group_job(
    group: ScheduleGroup,
    *,
    project: str,
    nodes: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey],
    consumers: Collection[dg.AssetKey],
    executor: dg.ExecutorDefinition | None = None,
) -> AssetJob:
    """Return the job of a schedule group: what it builds, the checks that it runs, the consumers that start with it.

    ``nodes`` and ``checks`` are the group's own and those of others that it refreshes. A check of one of its assets
    that another group runs (a test which crosses groups) is not in it. Without ``executor`` it has the location's.
    """
    selection = dg.AssetSelection.assets(*nodes).without_checks() | dg.AssetSelection.checks(*checks)
    if consumers:
        selection |= dg.AssetSelection.assets(*consumers)
    return dg.define_asset_job(
        name=group.name,
        selection=selection,
        description=f"Builds the schedule group {group.name}, runs its tests, and updates the consumers that start "
        "with it.",
        tags=run_tags(group, project),
        executor_def=executor,
    )


def run_tags(group: ScheduleGroup, project: str) -> dict[str, Any]:
    """Return the tags of a group's runs: whose they are, how often they are retried, what their pod gets.

    The number of retries is always named, so that no default of the instance stands in for the groups' file.
    """
    tags: dict[str, Any] = {GROUP_TAG: group.name, **_retry_tags(group.retries, project)}
    pod = _pod(group)
    # In place of the instance's own: a request beside the limit of a smaller run is no valid pod.
    return {**tags, POD_TAG: {**pod, "merge_behavior": "SHALLOW"}} if pod else tags


def _pod(group: ScheduleGroup) -> dict[str, Any]:
    """Return what a group's pods get of its own, as dagster-k8s reads it; what the group does not name is left out."""
    placed: dict[str, Any] = {
        "node_selector": group.node_selector,
        "tolerations": None if group.tolerations is None else [_as_kubernetes(one) for one in group.tolerations],
        "priority_class_name": group.priority_class_name,
    }
    spec = {what: asked for what, asked in placed.items() if asked is not None}
    pod: dict[str, Any] = {}
    if group.resources:
        asked = {"requests": group.resources.requests, "limits": group.resources.limits}
        pod["container_config"] = {"resources": {what: values for what, values in asked.items() if values}}
    if spec:
        pod["pod_spec_config"] = spec
    return pod


def _as_kubernetes(toleration: Toleration) -> dict[str, Any]:
    return toleration.model_dump(mode="json", by_alias=True, exclude_none=True)


def _retry_tags(retries: int, project: str) -> dict[str, str]:
    return {
        PROJECT_TAG: project,
        RETRIES_TAG: str(retries),
        # Dagster's own would start at once, and whatever the failure was: see `retries`.
        "dagster/max_retries": "0",
        # What failed and what was skipped is built again, not what worked.
        "dagster/retry_strategy": "FROM_ASSET_FAILURE",
    }


def build_ingestion_job(
    asked: IngestionRuns,
    *,
    project: str,
    tables: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey],
    executor: dg.ExecutorDefinition | None = None,
) -> AssetJob:
    """Return the job that loads every landed table; dbt's tests of the sources run with the groups that read them."""
    return dg.define_asset_job(
        name=INGESTION,
        selection=dg.AssetSelection.assets(*tables).without_checks() | dg.AssetSelection.checks(*checks),
        description="Loads what is new in the landing zone into the tables that the dbt sources declare.",
        tags=_retry_tags(asked.retries, project),
        executor_def=executor,
    )
