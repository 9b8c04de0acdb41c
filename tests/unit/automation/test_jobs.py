"""The jobs of groups and of ingestion, and the tags of their runs: group, retries and pod configuration."""

from __future__ import annotations

import json

import dagster as dg
import pytest
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy  # the tests compare them
from dagster._core.storage import tags
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_user_defined_k8s_config

from analytics_dagster.automation.jobs import (
    AD_HOC,
    POD_TAG,
    RETRIES_TAG,
    build_group_job,
    build_ingestion_job,
    run_tags,
)
from analytics_dagster.planning.groups import PROJECT_TAG, IngestionRuns, ScheduleGroup


def group(**content: object) -> ScheduleGroup:
    return ScheduleGroup.model_validate({"name": "hourly", "select": "tag:hourly", **content})


@pytest.mark.parametrize("retries", [0, 3])
def test_the_tags_of_a_run_set_its_retries_and_turn_dagsters_off(retries: int) -> None:
    found = run_tags(group(retries=retries), "shop")
    assert found[RETRIES_TAG] == str(retries)
    assert found[tags.MAX_RETRIES_TAG] == "0", "Dagster's own retries start at once and after any failure"
    assert found[tags.RETRY_STRATEGY_TAG] in ReexecutionStrategy.__members__
    assert found[tags.RETRY_STRATEGY_TAG] == "FROM_ASSET_FAILURE"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        ),
        ({"requests": {"cpu": 2}}, {"requests": {"cpu": "2"}}),
        ({"limits": {"cpu": 0.5}}, {"limits": {"cpu": "0.5"}}),
    ],
)
def test_the_resources_of_a_group_are_those_of_its_runs_container(resources: object, expected: object) -> None:
    job = build_group_job(group(resources=resources), project="shop", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    assert job.tags is not None
    assert json.loads(job.tags[POD_TAG]) == {
        "container_config": {"resources": expected},
        "merge_behavior": "SHALLOW",
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"node_selector": {"pool": "memory"}}, {"node_selector": {"pool": "memory"}}),
        (
            {
                "tolerations": [
                    {"key": "memory", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
                    {"key": "pool", "value": "analytics"},
                ],
                "priority_class_name": "batch",
            },
            {
                "tolerations": [
                    {"key": "memory", "operator": "Exists", "effect": "NoExecute", "toleration_seconds": 60},
                    {"key": "pool", "operator": "Equal", "value": "analytics"},
                ],
                "priority_class_name": "batch",
            },
        ),
        # Empty values replace those of the chart.
        ({"node_selector": {}, "tolerations": []}, {"node_selector": {}, "tolerations": []}),
    ],
    ids=["selector", "tolerations", "none"],
)
def test_dagster_k8s_reads_the_scheduling_settings_of_a_group(asked: dict[str, object], expected: object) -> None:
    job = build_group_job(group(**asked), project="shop", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    assert job.tags is not None
    content = json.loads(job.tags[POD_TAG])
    assert "container_config" not in content, "settings that the group does not have stay the chart's"
    # The second way is that of the launcher.
    kept = UserDefinedDagsterK8sConfig.from_dict(content)  # type: ignore[no-untyped-call] # the library's
    assert kept.pod_spec_config == expected
    read = get_user_defined_k8s_config(dict(job.tags))
    assert (read.pod_spec_config, read.merge_behavior.value) == (expected, "SHALLOW")


def test_the_ingestion_job_has_the_retries_of_the_file() -> None:
    job = build_ingestion_job(IngestionRuns(retries=2), project="shop", tables=[dg.AssetKey("a")], checks=[])
    assert job.tags is not None
    assert (job.tags[RETRIES_TAG], job.tags[PROJECT_TAG], job.tags[tags.MAX_RETRIES_TAG]) == ("2", "shop", "0")


def test_the_name_of_the_ad_hoc_job_is_dagsters() -> None:
    assert AD_HOC == IMPLICIT_ASSET_JOB_NAME


def test_a_job_has_the_class_that_type_checkers_know_as_asset_job() -> None:
    job = build_group_job(group(), project="shop", nodes=[dg.AssetKey("a")], checks=[], consumers=[])
    assert type(job) is UnresolvedAssetJobDefinition


def test_a_group_without_pod_settings_has_no_tag_for_its_pod() -> None:
    assert run_tags(group(), "shop").keys() == {
        "analytics_dagster/schedule_group",
        "analytics_dagster/project",
        "analytics_dagster/retries",
        "dagster/max_retries",
        "dagster/retry_strategy",
    }
