"""The failure report is read from the events of a run: what failed and why, what was skipped, and the owners."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from analytics_dagster.assets import keys
from analytics_dagster.execution.events import failure_of
from analytics_dagster.execution.failures.catalog import EXPOSURES, AssetCatalog, CatalogEntry
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.failures.observation import NodeFailure, from_observation, to_observation
from analytics_dagster.execution.failures.report import FailureReport

CATALOG = AssetCatalog(
    [
        CatalogEntry("a", ("team:core",), "nightly"),
        CatalogEntry("b", ("team:core", "ann@example.com"), "nightly", reads=("a",)),
        CatalogEntry("exposures/board", group=EXPOSURES, reads=("b",)),
    ]
)
DEPLOYMENT = DeploymentInfo("prod", "prod", "abc", "https://dagster.example.com/", frozenset({"hunter22"}))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def report_of(instance: dg.DagsterInstance, *assets: Any) -> FailureReport:
    definitions = dg.Definitions(list(assets), jobs=[dg.define_asset_job("all")])
    job = definitions.resolve_job_def("all")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    record = instance.get_run_record_by_id(result.run_id)
    assert record is not None
    return read_report(instance, record, CATALOG, DEPLOYMENT)


def test_a_failed_python_asset_is_reported_with_its_exception_and_skipped_readers(
    instance: dg.DagsterInstance,
) -> None:
    @dg.asset
    def a() -> None:
        raise ConnectionError("connection refused by postgresql://dbt:hunter22@db/shop")

    @dg.asset(deps=[a])
    def b() -> None: ...

    report = report_of(instance, a, b)
    [step] = report.steps
    assert (step.name, step.kind, step.assets) == ("a", FailureKind.CONNECTION, ("a",))
    assert step.message.startswith("ConnectionError: connection refused by postgresql://dbt:***@db")
    assert report.skipped == ("b",)
    assert report.owners == ("team:core",)
    assert report.exposures == ("exposures/board",)
    assert report.is_transient
    assert report.url == f"https://dagster.example.com/runs/{report.run_id}"
    assert report.seconds is not None
    assert "hunter22" not in str(report.to_json())


def test_the_message_of_a_node_replaces_that_of_its_step(instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("a", skippable=True), dg.AssetSpec("b", skippable=True)])
    def dbt(context: dg.AssetExecutionContext) -> Any:
        yield dg.MaterializeResult(asset_key="b")
        context.log_event(to_observation(NodeFailure(dg.AssetKey("a"), "Binder Error: no", compiled="x/a.sql")))
        context.log_event(to_observation(NodeFailure(dg.AssetKey("b"), "deadlock detected", check="unique")))
        raise dg.Failure("dbt failed with all that it has logged")

    report = report_of(instance, dbt)
    assert not report.steps
    [node] = report.nodes
    assert (node.asset, node.kind, node.message, node.compiled) == ("a", FailureKind.SQL, "Binder Error: no", "x/a.sql")
    [check] = report.checks
    assert (check.label, check.kind) == ("unique on b", FailureKind.LOCK)
    assert report.built == ("b",)
    assert report.skipped == ()
    assert not report.is_transient


def test_if_dbt_itself_fails_its_log_is_reported_without_the_command(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None:
        raise dg.Failure(
            "The dbt CLI process with command\n\n`dbt build --vars {a: timeout}`\n\nfailed with exit code `2`.\n\n"
            "Errors parsed from dbt logs:\n\n1 of 2 ERROR creating sql table model a\n\nEncountered an error:\n"
            'IO Error: Could not set lock on file "/w/x.duckdb": Conflicting lock is held in python (PID 7).'
        )

    [step] = report_of(instance, a).steps
    assert step.kind is FailureKind.LOCK
    assert step.message.startswith("IO Error: Could not set lock on file")


def test_a_failed_test_is_reported_with_its_rows_and_not_as_a_step(instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("a")], check_specs=[dg.AssetCheckSpec("unique", asset="a")])
    def dbt() -> Any:
        yield dg.MaterializeResult(asset_key="a")
        rows = {"dagster_dbt/failed_row_count": 17}
        yield dg.AssetCheckResult(asset_key="a", check_name="unique", passed=False, metadata=rows)
        raise dg.Failure("dbt failed: Got 17 results, configured to fail if != 0")

    report = report_of(instance, dbt)
    assert not report.steps
    [check] = report.checks
    assert (check.rows, check.warns, check.kind) == (17, False, FailureKind.DATA_TEST)


def test_a_run_that_was_cut_off_is_reported_with_its_failure_event(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None: ...

    job = dg.Definitions([a], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "The run was cut off: process 7 on here, which executed it, has ended.")
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    [step] = read_report(instance, record, CATALOG, DEPLOYMENT).steps
    assert (step.name, step.kind) == ("", FailureKind.KILLED)


def test_a_killed_run_worker_is_reported_with_the_code_servers_event(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None: ...

    job = dg.Definitions([a], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    for said, kind in (
        ("Run execution process for 1 was terminated by signal 9 (SIGKILL).", FailureKind.KILLED),
        ("Executing steps in process (pid: 7)", FailureKind.CODE),
    ):
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event(said, run)
        instance.report_run_failed(run, "This run has been marked as failed from outside the execution context.")
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        [step] = read_report(instance, record, CATALOG, DEPLOYMENT).steps
        assert step.kind is kind


def test_a_successful_run_has_no_failures_and_a_usual_duration(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def a() -> None: ...

    assert report_of(instance, a).usual is None
    report = report_of(instance, a)
    assert report.usual is not None
    assert report.built == ("a",)
    assert (report.nodes, report.checks, report.steps, report.skipped) == ((), (), (), ())


# --- observations of failures -------------------------------------------------------------------------------


def event(name: str, unique_id: str, status: str) -> dict[str, Any]:
    node = {"unique_id": unique_id, "node_status": status}
    return {"info": {"name": name, "msg": "  Database Error\n  no, password=hunter22"}, "data": {"node_info": node}}


def test_errors_of_nodes_and_tests_are_failures_but_failed_tests_are_not() -> None:
    key, check = dg.AssetKey("a"), dg.AssetCheckKey(dg.AssetKey("a"), "unique")
    known = {"model.x.a": key}, {"test.x.unique": check}
    node = failure_of(event("RunResultError", "model.x.a", "error"), *known)
    test = failure_of(event("RunResultError", "test.x.unique", "error"), *known)
    assert node is not None
    assert (node.asset, node.check) == (key, "")
    assert test is not None
    assert (test.asset, test.check) == (key, "unique")
    assert failure_of(event("RunResultError", "test.x.unique", "fail"), *known) is None
    assert failure_of(event("RunResultWarning", "model.x.a", "warn"), *known) is None
    assert failure_of(event("RunResultError", "model.x.other", "error"), *known) is None


def test_an_observed_failure_is_read_back_without_secrets() -> None:
    observation = to_observation(
        NodeFailure(dg.AssetKey("a"), "no, password=hunter33 and hunter22 too", "unique"), {"hunter22"}
    )
    assert from_observation(observation) == NodeFailure(dg.AssetKey("a"), "no, password=*** and *** too", "unique")
    assert from_observation(dg.AssetObservation("a")) is None


def test_the_group_of_exposures_is_the_same_as_in_assets() -> None:
    assert keys.EXPOSURES == EXPOSURES
