"""The remaining work of a run is what Dagster's own re-execution would run, and a resumed run does no more."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.remaining_work import (
    Completed,
    RemainingWork,
    carry_over,
    completed_in_parent,
    find_remaining_work,
    remaining_in_step,
)
from tests.unit.manifests import Manifest

pytestmark = pytest.mark.slow

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


# --- the remaining work of a run ----------------------------------------------------------------------------


def definitions(failing: str) -> dg.Definitions:
    specs = [dg.AssetSpec(name, skippable=True) for name in "abc"]
    checks = [
        dg.AssetCheckSpec("checked", asset=name, blocking=blocking)
        for name, blocking in (("a", True), ("b", False), ("c", True))
    ]

    @dg.multi_asset(specs=specs, check_specs=checks, can_subset=True)
    def built() -> Any:
        for name in "abc":
            if name == failing:
                raise dg.Failure("connection lost")
            yield dg.MaterializeResult(asset_key=name)
            passed = failing != f"check of {name}"
            yield dg.AssetCheckResult(asset_key=name, check_name="checked", passed=passed)

    @dg.asset(deps=["c"])
    def reader() -> None: ...

    return dg.Definitions([built, reader], jobs=[dg.define_asset_job("all")])


@pytest.mark.parametrize(
    ("failing", "assets", "checks"),
    [
        ("a", {"a", "b", "c", "reader"}, {"a", "b", "c"}),
        ("c", {"c", "reader"}, {"c"}),
        ("check of a", {"a", "reader"}, {"a"}),
        ("check of b", set(), set()),
        ("check of c", {"c", "reader"}, {"c"}),
        ("nothing", set(), set()),
    ],
)
def test_the_remaining_work_is_what_dagster_would_re_execute(failing: str, assets: set[str], checks: set[str]) -> None:
    job = definitions(failing).resolve_job_def("all")
    with dg.DagsterInstance.ephemeral() as instance:
        run = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET).dagster_run
        remaining = find_remaining_work(instance, run.run_id)
        snapshot = instance.get_execution_plan_snapshot(str(run.execution_plan_snapshot_id))
        theirs = instance.run_domain.get_keys_to_reexecute(run.run_id, snapshot)
    assert {key.to_user_string() for key in remaining.assets} == assets
    assert {key.asset_key.to_user_string() for key in remaining.checks} == checks
    assert (remaining.assets, remaining.checks) == theirs
    assert bool(remaining) is bool(assets)
    assert remaining.steps == {"reader" if asset == "reader" else "built" for asset in assets}


def test_only_the_configuration_of_the_remaining_steps_is_kept() -> None:
    remaining = RemainingWork(steps=frozenset({"built"}))
    ops = {"built": {"config": {"full_refresh": True}}, "reader": {"config": {}}}
    assert remaining.configuration({"ops": ops, "execution": {"config": {}}}) == {
        "ops": {"built": {"config": {"full_refresh": True}}},
        "execution": {"config": {}},
    }
    assert remaining.configuration({"ops": {"reader": {}}}) == {}
    assert remaining.configuration({}) == {}


# --- a resumed run: `From failure` in the UI ----------------------------------------------------------------

FAILING = "TEST_RESUMING_FAILING"
SPECS = [
    dg.AssetSpec("a", skippable=True),
    dg.AssetSpec("b", deps=["a"], skippable=True),
    dg.AssetSpec("c", deps=["b"], skippable=True),
]
GRAPH = Manifest().model("a").model("b", "model.p.a").model("c", "model.p.b").model("d").graph
NODES = {dg.AssetKey(name): f"model.p.{name}" for name in "abc"}


@dg.multi_asset(specs=SPECS, check_specs=[dg.AssetCheckSpec("checked", asset=name) for name in "ab"], can_subset=True)
def built(context: dg.AssetExecutionContext) -> Iterator[object]:
    nodes, _ = remaining_in_step(completed_in_parent(context.instance, context.run), NODES, {}, GRAPH)
    names = [node[-1] for node in sorted(nodes)]
    yield from carry_over(sorted(set("abc") - set(names)))
    for name in names:
        if name == os.environ[FAILING]:
            raise dg.Failure(f"{name} can't be built")
        yield dg.MaterializeResult(asset_key=name)
        if name in "ab":
            yield dg.AssetCheckResult(asset_key=name, check_name="checked", passed=True)
    if os.environ[FAILING] == "the end":
        raise dg.Failure("the connection was lost after the last asset")


@dg.asset(deps=["a", "c"])
def reader() -> None: ...


def everything() -> dg.JobDefinition:
    all_of_it = dg.define_asset_job("all", executor_def=dg.in_process_executor)
    return dg.Definitions([built, reader], jobs=[all_of_it]).resolve_job_def("all")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found


def run(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, failing: str, parent: str | None = None
) -> tuple[str, set[str]]:
    """Run everything, or resume a failed run; return the id of the run and what it materialized."""
    monkeypatch.setenv(FAILING, failing)
    options = dg.ReexecutionOptions.from_failure(parent, instance) if parent else None
    # The UI sets this tag for `From failure`.
    tags = {"dagster/is_resume_retry": "true"} if parent else {}
    with dg.execute_job(
        dg.reconstructable(everything),
        instance,
        run_config=QUIET,
        tags=tags,
        reexecution_options=options,
        raise_on_error=False,
    ) as result:
        assert result.success is (failing == "nothing")
        return result.run_id, {
            event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key
        }


def remaining_of(instance: dg.DagsterInstance, run_id: str) -> tuple[set[str], set[str]]:
    remaining = find_remaining_work(instance, run_id)
    return {key.to_user_string() for key in remaining.assets}, {
        key.asset_key.to_user_string() for key in remaining.checks
    }


def test_a_resumed_run_builds_only_what_the_failed_runs_did_not(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, made = run(instance, monkeypatch, "b")
    assert made == {"a"}
    assert remaining_of(instance, first) == ({"b", "c", "reader"}, {"b"})
    second, made = run(instance, monkeypatch, "c", first)
    assert made == {"b"}
    assert remaining_of(instance, second) == ({"c", "reader"}, set())
    third, made = run(instance, monkeypatch, "nothing", second)
    assert made == {"c", "reader"}
    assert remaining_of(instance, third) == (set(), set())


def test_the_report_of_a_resumed_run_names_no_completed_asset_as_skipped(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(instance, monkeypatch, "b")
    second, _ = run(instance, monkeypatch, "b", first)
    record = instance.get_run_record_by_id(second)
    assert record is not None
    report = read_report(instance, record, AssetCatalog([]), DeploymentInfo())
    [step] = report.steps
    assert (step.assets, report.skipped) == (("b", "c"), ("reader",))


def test_a_failed_step_without_remaining_work_runs_again_as_a_whole(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, made = run(instance, monkeypatch, "the end")
    assert made == {"a", "b", "c"}
    _, made = run(instance, monkeypatch, "nothing", first)
    assert made == {"a", "b", "c", "reader"}


WITH_D = {**NODES, dg.AssetKey("d"): "model.p.d"}
TESTS = {dg.AssetCheckKey(key, "t"): node.replace("model", "test") for key, node in WITH_D.items()}


def completed(nodes: str, tests: str) -> Completed:
    checks = frozenset(dg.AssetCheckKey(dg.AssetKey(name), "t") for name in tests)
    return Completed(frozenset(dg.AssetKey(name) for name in nodes), checks)


@pytest.mark.parametrize(
    ("before", "nodes", "tests"),
    [
        (completed("", ""), "abcd", "abcd"),
        # Everything was built, and then a test of `b` that reads `b` and `d` failed.
        (completed("acd", "acd"), "bc", "bc"),
        (completed("abcd", "abc"), "", "d"),
        # `d` is new since the run that failed.
        (completed("abc", "abc"), "d", "d"),
        # Everything was completed, but the step failed.
        (completed("abcd", "abcd"), "abcd", "abcd"),
    ],
)
def test_a_step_runs_incomplete_nodes_and_those_that_read_them(before: Completed, nodes: str, tests: str) -> None:
    again, tested = remaining_in_step(before, WITH_D, TESTS, GRAPH)
    assert again == {f"model.p.{name}" for name in nodes}
    assert tested == {f"test.p.{name}" for name in tests}


def test_a_run_whose_parent_was_deleted_runs_everything(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(instance, monkeypatch, "b")
    second, _ = run(instance, monkeypatch, "c", first)
    instance.delete_run(first)
    assert remaining_of(instance, second)[0] == {"a", "c", "reader"}
