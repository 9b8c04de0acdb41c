"""A run that takes up a failed one by steps does of a step what is left of it, however often it fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.remaining_work import (
    Completed,
    carry_over,
    completed_in_parent,
    find_remaining_work,
    remaining_in_step,
)
from tests.unit.manifests import Manifest

pytestmark = pytest.mark.slow

FAILING = "TEST_RESUMING_FAILING"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SPECS = [
    dg.AssetSpec("a", skippable=True),
    dg.AssetSpec("b", deps=["a"], skippable=True),
    dg.AssetSpec("c", deps=["b"], skippable=True),
]
GRAPH = Manifest().model("a").model("b", "model.p.a").model("c", "model.p.b").model("d").graph
NODES = {dg.AssetKey(name): f"model.p.{name}" for name in "abc"}


@dg.multi_asset(specs=SPECS, check_specs=[dg.AssetCheckSpec("checked", asset=name) for name in "ab"], can_subset=True)
def built(context: dg.AssetExecutionContext) -> Iterator[object]:
    done = completed_in_parent(context.instance, context.run)
    nodes, _ = remaining_in_step(done, NODES, {}, GRAPH)
    names = [node[-1] for node in sorted(nodes)]
    yield from carry_over(sorted(set("abc") - set(names)))
    for name in names:
        if name == os.environ[FAILING]:
            raise dg.Failure(f"{name} can't be built")
        yield dg.MaterializeResult(asset_key=name)
        if name in "ab":
            yield dg.AssetCheckResult(asset_key=name, check_name="checked", passed=True)
    if os.environ[FAILING] == "the end":
        raise dg.Failure("the connection was lost in the end")


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
    """Run all, or what is left of a failed run; return the run's id and what it has materialized."""
    monkeypatch.setenv(FAILING, failing)
    options = dg.ReexecutionOptions.from_failure(parent, instance) if parent else None
    # As the UI has it for `From failure`.
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


def left_of(instance: dg.DagsterInstance, run_id: str) -> tuple[set[str], set[str]]:
    remaining = find_remaining_work(instance, run_id)
    return {key.to_user_string() for key in remaining.assets}, {
        key.asset_key.to_user_string() for key in remaining.checks
    }


def test_what_the_failed_runs_have_built_is_not_built_again_and_what_reads_it_is_not_skipped(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, made = run(instance, monkeypatch, "b")
    assert made == {"a"}
    assert left_of(instance, first) == ({"b", "c", "reader"}, {"b"})
    second, made = run(instance, monkeypatch, "c", first)
    assert made == {"b"}
    assert left_of(instance, second) == ({"c", "reader"}, set())
    third, made = run(instance, monkeypatch, "nothing", second)
    assert made == {"c", "reader"}
    assert left_of(instance, third) == (set(), set())


def test_the_report_of_a_run_that_takes_up_another_tells_as_skipped_what_is_left_alone(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(instance, monkeypatch, "b")
    second, _ = run(instance, monkeypatch, "b", first)
    record = instance.get_run_record_by_id(second)
    assert record is not None
    report = read_report(instance, record, AssetCatalog([]), DeploymentInfo())
    [step] = report.steps
    assert (step.assets, report.skipped) == (("b", "c"), ("reader",))


def test_where_nothing_is_left_of_a_step_that_failed_it_is_done_again_as_a_whole(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, made = run(instance, monkeypatch, "the end")
    assert made == {"a", "b", "c"}
    _, made = run(instance, monkeypatch, "nothing", first)
    assert made == {"a", "b", "c", "reader"}


WITH_D = {**NODES, dg.AssetKey("d"): "model.p.d"}
TESTS = {dg.AssetCheckKey(key, "t"): node.replace("model", "test") for key, node in WITH_D.items()}


def done(nodes: str, tests: str) -> Completed:
    checks = frozenset(dg.AssetCheckKey(dg.AssetKey(name), "t") for name in tests)
    return Completed(frozenset(dg.AssetKey(name) for name in nodes), checks)


@pytest.mark.parametrize(
    ("before", "nodes", "tests"),
    [
        (done("", ""), "abcd", "abcd"),
        # Everything was built, and then a test over `b` and `d`, which is a check of `b`, found that `b` is wrong.
        (done("acd", "acd"), "bc", "bc"),
        (done("abcd", "abc"), "", "d"),
        # `d` is new since the run that failed.
        (done("abc", "abc"), "d", "d"),
        # It failed after all.
        (done("abcd", "abcd"), "abcd", "abcd"),
    ],
)
def test_what_is_not_done_is_left_and_what_reads_it_with_its_tests(before: Completed, nodes: str, tests: str) -> None:
    again, tested = remaining_in_step(before, WITH_D, TESTS, GRAPH)
    assert again == {f"model.p.{name}" for name in nodes}
    assert tested == {f"test.p.{name}" for name in tests}


def test_where_the_failed_run_was_deleted_all_is_done(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run(instance, monkeypatch, "b")
    second, _ = run(instance, monkeypatch, "c", first)
    instance.delete_run(first)
    assert left_of(instance, second)[0] == {"a", "c", "reader"}
