"""The last evaluation of a check, by the private status and by public methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.dagster_internals import guard
from analytics_dagster.dagster_internals.check_history import _evaluated, last_evaluation

CHECK = dg.AssetCheckKey(dg.AssetKey("orders"), "totals_add_up")


@dg.asset(check_specs=[dg.AssetCheckSpec("totals_add_up", asset="orders")])
def orders() -> Iterator[Any]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False)])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(params=["", "1"], ids=["private", "public"], autouse=True)
def _internals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(guard.NO_INTERNALS, request.param)


def test_the_private_names_exist(instance: dg.DagsterInstance) -> None:
    assert len(_evaluated(instance.event_log_storage)) == 2


def test_a_check_that_never_ran_has_no_evaluation(instance: dg.DagsterInstance) -> None:
    assert last_evaluation(instance, CHECK, "") is None


def test_a_planned_execution_does_not_hide_the_evaluation_before_it(instance: dg.DagsterInstance) -> None:
    run = dg.materialize([orders], instance=instance).run_id
    job = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("build")]).resolve_job_def("build")
    instance.create_run_for_job(job)
    event = last_evaluation(instance, CHECK, run)
    assert event is not None
    assert event.run_id == run
    assert event.asset_check_evaluation is not None
    assert not event.asset_check_evaluation.passed


def test_an_evaluation_from_outside_of_dagster_has_no_run(instance: dg.DagsterInstance) -> None:
    dg.materialize([orders], instance=instance)
    evaluation = dg.AssetCheckEvaluation(asset_key=CHECK.asset_key, check_name=CHECK.name, passed=True, metadata={})
    instance.report_runless_asset_event(evaluation)
    event = last_evaluation(instance, CHECK, "")
    assert event is not None
    assert event.run_id == ""
