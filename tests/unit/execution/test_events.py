"""Results in dbt's structured log, and the Dagster results for them, as tables."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from analytics_dagster.execution.events import BUILT, NodeResult, read_result, to_check_result

CHECK = dg.AssetCheckKey(dg.AssetKey("orders"), "unique")


def event(name: str, node: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    """Return an event as dbt 1.11 writes it, with the fields that are read."""
    info = {"unique_id": "model.p.x", "node_name": "x", "node_status": "success", **(node or {})}
    return {"info": {"name": name, "invocation_id": "i"}, "data": {**data, "node_info": info}}


@pytest.mark.parametrize(
    ("raw_event", "unique_id", "status"),
    [
        (event("LogModelResult", status="OK"), "model.p.x", "success"),
        (event("LogModelResult", {"node_status": "error"}, status="error"), "model.p.x", "error"),
        # A microbatch model: dbt sets no node status.
        (event("LogModelResult", {"node_status": "None"}, status="SUCCESS"), "model.p.x", "success"),
        (event("LogModelResult", {"node_status": "None"}, status="PARTIAL SUCCESS"), "model.p.x", "partial success"),
        (event("LogSeedResult", {"unique_id": "seed.p.s"}), "seed.p.s", "success"),
        (event("LogSnapshotResult", {"unique_id": "snapshot.p.s"}), "snapshot.p.s", "success"),
        (event("LogFunctionResult", {"unique_id": "function.p.f"}), "function.p.f", "success"),
        (event("LogTestResult", {"unique_id": "test.p.t", "node_status": "warn"}), "test.p.t", "warn"),
        (
            event("LogTestResult", {"unique_id": "unit_test.p.x.u", "node_status": ""}, status="pass"),
            "unit_test.p.x.u",
            "pass",
        ),
        (event("SkippingDetails", {"node_status": "skipped"}), "model.p.x", "skipped"),
    ],
)
def test_every_kind_of_result_has_its_node_and_status(raw_event: dict[str, Any], unique_id: str, status: str) -> None:
    result = read_result(raw_event)
    assert result is not None
    assert (result.unique_id, result.status) == (unique_id, status)


@pytest.mark.parametrize(
    "raw_event",
    [
        event("LogStartLine"),
        event("RunResultError"),
        event("LogBatchResult"),
        {"info": {"name": "LogModelResult", "invocation_id": "i"}, "data": {}},
    ],
)
def test_other_events_have_no_result(raw_event: dict[str, Any]) -> None:
    assert read_result(raw_event) is None


@pytest.mark.parametrize(
    ("node", "data", "seconds"),
    [
        ({"node_started_at": "2026-01-01T00:00:01.500000", "node_finished_at": "2026-01-01T00:00:04"}, {}, 2.5),
        ({"node_started_at": "2026-01-01T00:00:01", "node_finished_at": ""}, {"execution_time": 3.0}, 3.0),
        ({}, {}, None),
    ],
)
def test_the_duration_is_that_of_the_node_or_else_of_its_execution(
    node: dict[str, str], data: dict[str, float], seconds: float | None
) -> None:
    result = read_result(event("LogModelResult", node, **data))
    assert result is not None
    assert result.seconds == seconds
    assert ("Execution Duration" in result.metadata) is (seconds is not None)


@pytest.mark.parametrize(
    ("status", "passed", "severity"),
    [
        ("pass", True, dg.AssetCheckSeverity.ERROR),
        ("warn", False, dg.AssetCheckSeverity.WARN),
        ("fail", False, dg.AssetCheckSeverity.ERROR),
        ("error", False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_a_check_result_has_the_severity_of_dbts_result(
    status: str, *, passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    result = to_check_result(NodeResult("test.p.t", "t", status, 0.1, 7, "i"), CHECK)
    assert (result.passed, result.severity, result.check_name, result.asset_key) == (
        passed,
        severity,
        "unique",
        dg.AssetKey("orders"),
    )
    assert result.metadata["dagster_dbt/failed_row_count"] == dg.MetadataValue.int(7)


def test_a_node_counts_as_built_after_success_and_no_op() -> None:
    assert {"success", "no-op"} == BUILT
