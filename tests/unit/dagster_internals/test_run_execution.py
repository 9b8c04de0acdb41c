"""A job is executed in this process with and without private names of Dagster: what is the same, and what is not.

No ``from __future__ import annotations`` here: Dagster reads the annotations of decorated functions at run time.
"""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.dagster_internals import run_execution
from analytics_dagster.dagster_internals.guard import NO_INTERNALS
from analytics_dagster.dagster_internals.run_execution import NewRun, execute_job
from analytics_dagster.execution.executor import build_executor
from analytics_dagster.process_identity import process_tags

CHECK = dg.AssetCheckKey(dg.AssetKey("table"), "counted")


@dg.asset(check_specs=[dg.AssetCheckSpec("counted", asset="table")])
def table() -> Iterator[Any]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="counted")])


@dg.asset_check(asset="table")
def alone() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def fails() -> None:
    raise dg.Failure("on purpose")


@dg.asset
def is_interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


DEFINITIONS = dg.Definitions(
    [table, fails, is_interrupted],
    asset_checks=[alone],
    jobs=[
        dg.define_asset_job("good", "table", tags={"of": "good"}),
        dg.define_asset_job("bad", "fails"),
        dg.define_asset_job("interrupted", "is_interrupted"),
    ],
    executor=build_executor(writers=1),
)


@pytest.fixture(params=["private names", "public alternative"])
def uses_private_names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    uses: bool = request.param == "private names"
    monkeypatch.setenv(NO_INTERNALS, "0" if uses else "1")
    return uses


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def execute(instance: dg.DagsterInstance, job: str, **options: Any) -> tuple[dg.DagsterRunStatus, dg.DagsterRun]:
    run_id = str(uuid.uuid4())
    tags = {**process_tags(run_id), **options.pop("tags", {})}
    new = NewRun(run_id, options.pop("config", {}), tags, **options)
    status = execute_job(DEFINITIONS.resolve_job_def(job), instance, new)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return status, run


def test_the_private_names_are_those_of_the_installed_version() -> None:
    assert len(run_execution._probe()) == 5


@pytest.mark.usefixtures("uses_private_names")
def test_a_run_has_its_id_and_tags_and_its_events(instance: dg.DagsterInstance) -> None:
    status, run = execute(instance, "good", tags={"mine": "1"})
    assert status is run.status is dg.DagsterRunStatus.SUCCESS
    assert (run.tags["of"], run.tags["mine"]) == ("good", "1")
    assert instance.get_latest_materialization_event(dg.AssetKey("table")) is not None


@pytest.mark.usefixtures("uses_private_names")
@pytest.mark.parametrize(
    ("assets", "checks", "built", "evaluated"),
    [
        (frozenset({dg.AssetKey("table")}), frozenset({CHECK}), 1, {"counted"}),
        (frozenset({dg.AssetKey("table")}), None, 1, {"counted", "alone"}),
        (frozenset(), frozenset({dg.AssetCheckKey(dg.AssetKey("table"), "alone")}), 0, {"alone"}),
    ],
)
def test_only_the_selected_assets_and_checks_run(
    instance: dg.DagsterInstance,
    assets: frozenset[dg.AssetKey],
    checks: frozenset[dg.AssetCheckKey] | None,
    built: int,
    evaluated: set[str],
) -> None:
    status, run = execute(instance, "good", assets=assets, checks=checks)
    assert status is dg.DagsterRunStatus.SUCCESS
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    assert sum(event.is_step_materialization for event in events) == built
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    assert {event.asset_check_evaluation_data.check_name for event in events if event.event_type is kind} == evaluated


@pytest.mark.usefixtures("uses_private_names")
def test_a_failed_run_returns_its_status(instance: dg.DagsterInstance) -> None:
    status, run = execute(instance, "bad")
    assert status is run.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.usefixtures("uses_private_names")
def test_an_interrupted_run_is_canceled(instance: dg.DagsterInstance) -> None:
    started = time.monotonic()
    status, _ = execute(instance, "interrupted")
    assert time.monotonic() - started < 30
    assert status is dg.DagsterRunStatus.CANCELED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_only_with_private_names_a_run_records_its_selection_and_parent(
    instance: dg.DagsterInstance, *, uses_private_names: bool
) -> None:
    _, parent = execute(instance, "bad")
    selection = frozenset({dg.AssetKey("table")})
    _, run = execute(instance, "good", assets=selection, checks=frozenset({CHECK}), parent=parent)
    assert (run.parent_run_id == parent.run_id) is uses_private_names
    assert (run.asset_selection == selection) is uses_private_names


def test_the_public_alternative_accepts_the_configuration_of_another_executor(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NO_INTERNALS, "1")
    status, _ = execute(instance, "good", config={"execution": {"config": {"retries": {"disabled": {}}}}})
    assert status is dg.DagsterRunStatus.SUCCESS
