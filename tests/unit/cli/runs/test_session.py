"""The run that `analytics-dagster retry` takes without a run id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg
import pytest

from analytics_dagster.automation.jobs import AD_HOC, INGESTION
from analytics_dagster.cli.runs.session import _last_failed_run
from analytics_dagster.errors import HomeError
from analytics_dagster.planning.groups import PROJECT_TAG


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def failed_run(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.FAILURE, tags=tags))


@pytest.mark.parametrize(
    ("job", "tags", "is_ours"),
    [
        ("nightly", {PROJECT_TAG: "ours"}, True),
        ("nightly", {PROJECT_TAG: "theirs"}, False),
        ("nightly", {}, False),
        (INGESTION, {PROJECT_TAG: "ours"}, True),
        (INGESTION, {PROJECT_TAG: "theirs"}, False),
        (INGESTION, {}, True),
        (AD_HOC, {}, True),
    ],
)
def test_a_run_of_another_project_in_the_same_home_is_not_retried(
    instance: dg.DagsterInstance, job: str, tags: Mapping[str, str], *, is_ours: bool
) -> None:
    run = failed_run(instance, job, tags)
    if is_ours:
        assert _last_failed_run(instance, "ours").run_id == run.run_id
    else:
        with pytest.raises(HomeError, match="No failed run is left"):
            _last_failed_run(instance, "ours")
