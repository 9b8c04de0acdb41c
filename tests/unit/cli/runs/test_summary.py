"""The summary of a small run: built and missing assets, rows, seconds and checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from analytics_dagster.cli.runs.execution import JobRequest, JobResult, execute_jobs
from analytics_dagster.cli.runs.summary import AssetSummary, summarize, summary_table

WARN = dg.AssetCheckSeverity.WARN


@dg.multi_asset(
    specs=[dg.AssetSpec("good"), dg.AssetSpec("bad", skippable=True)],
    check_specs=[
        dg.AssetCheckSpec("passes", asset="good"),
        dg.AssetCheckSpec("warns", asset="good"),
        dg.AssetCheckSpec("fails", asset="good"),
    ],
)
def two_at_once() -> Iterator[Any]:
    metadata = {"dagster/row_count": 1234, "Execution Duration": 0.25}
    yield dg.MaterializeResult(asset_key="good", metadata=metadata)
    yield dg.AssetCheckResult(asset_key="good", check_name="passes", passed=True)
    yield dg.AssetCheckResult(asset_key="good", check_name="warns", passed=False, severity=WARN)
    yield dg.AssetCheckResult(asset_key="good", check_name="fails", passed=False)
    raise dg.Failure("bad went wrong [/] for a reason")


@dg.asset(deps=["bad"])
def after_bad() -> None: ...


@dg.asset
def of_the_first_job() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 2})


@dg.asset_check(asset="elsewhere")
def of_elsewhere() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[dg.DagsterInstance, list[JobResult]]]:
    first = dg.AssetSelection.assets("of_the_first_job") | dg.AssetSelection.checks(of_elsewhere)
    definitions = dg.Definitions(
        [of_the_first_job, two_at_once, after_bad, dg.AssetSpec("elsewhere")],
        asset_checks=[of_elsewhere],
        jobs=[
            dg.define_asset_job("first", first),
            dg.define_asset_job("second", dg.AssetSelection.assets("good", "bad", "after_bad")),
            dg.define_asset_job("third", "of_the_first_job"),
        ],
        executor=dg.in_process_executor,
    )
    requests = [JobRequest("first"), JobRequest("second"), JobRequest("third", after=frozenset({"second"}))]
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance, execute_jobs(definitions, requests, instance=instance)


@pytest.fixture(scope="module")
def lines(ran: tuple[dg.DagsterInstance, list[JobResult]]) -> Mapping[str, AssetSummary]:
    instance, results = ran
    groups = {dg.AssetKey("good"): "hourly", dg.AssetKey("of_the_first_job"): "raw"}
    return {line.key.to_user_string(): line for line in summarize(instance, results, groups)}


def test_a_job_after_a_failed_one_is_not_started(
    ran: tuple[dg.DagsterInstance, list[JobResult]],
) -> None:
    first, second, third = ran[1]
    assert (first.succeeded, second.succeeded, third.succeeded) == (True, False, False)
    assert third.run_id is None
    assert third.reason == "not started: second failed"


def test_assets_are_in_the_order_of_runs_and_builds(lines: Mapping[str, AssetSummary]) -> None:
    assert list(lines)[:3] == ["of_the_first_job", "elsewhere", "good"]
    assert set(lines) == {"of_the_first_job", "elsewhere", "good", "bad", "after_bad"}


def test_a_built_asset_has_its_group_rows_seconds_and_checks(lines: Mapping[str, AssetSummary]) -> None:
    assert lines["good"] == AssetSummary(
        dg.AssetKey("good"),
        "hourly",
        is_built=True,
        rows=1234,
        seconds=0.25,
        checks=Counter(passed=1, failed=1, warned=1),
    )


def test_an_asset_without_a_time_of_its_own_has_that_of_its_step(lines: Mapping[str, AssetSummary]) -> None:
    line = lines["of_the_first_job"]
    assert (line.group, line.rows) == ("raw", 2)
    assert line.seconds is not None
    assert 0 <= line.seconds < 60


@pytest.mark.parametrize("name", ["bad", "after_bad"])
def test_failed_and_skipped_assets_are_not_built(lines: Mapping[str, AssetSummary], name: str) -> None:
    assert (lines[name].is_built, lines[name].rows, lines[name].seconds) == (False, None, None)


def test_an_asset_that_was_only_checked_counts_as_built(lines: Mapping[str, AssetSummary]) -> None:
    assert (lines["elsewhere"].is_built, lines["elsewhere"].checks["passed"]) == (True, 1)


def rendered(lines: list[AssetSummary], width: int) -> str:
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(summary_table(lines, seconds=61.25))
    return capture.get()


def test_the_table_marks_missing_assets_and_has_totals(lines: Mapping[str, AssetSummary]) -> None:
    text = rendered(list(lines.values()), 120)
    assert "bad (not built)" in text
    assert "after_bad (not built)" in text
    assert "5 assets, 2 not built" in text
    assert "1,236" in text
    assert "61.2" in text


def test_numbers_are_not_cut_on_a_narrow_terminal(lines: Mapping[str, AssetSummary]) -> None:
    long = replace(lines["good"], key=dg.AssetKey(["a_schema", "a_model_with_a_rather_long_name"]), rows=1_234_567)
    text = rendered([long], 80)
    assert "1,234,567" in text
    assert "…" not in text
