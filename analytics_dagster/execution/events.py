"""Reads results from dbt's structured log and turns them into Dagster check results and failures.

dagster-dbt's own translation supports neither functions nor unit tests, and only observes a test that it attaches to
another asset than the plan does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.execution.dbt_worker import ROW_COUNTS
from analytics_dagster.execution.failures.observation import NodeFailure

BUILT = frozenset({"success", "no-op"})
"""The statuses of a node whose relation exists after the build."""

_BUILT_NODES = {"LogModelResult", "LogSeedResult", "LogSnapshotResult", "LogFunctionResult"}
_RESULTS = frozenset({*_BUILT_NODES, "LogTestResult", "SkippingDetails"})
"""dbt's log events with the result of a node, one per node."""

REASONS = frozenset({"RunResultError", "RunResultFailure", "RunResultWarning", "RunResultWarningMessage"})
"""dbt's log events at the end of a build with the reason why a node or test failed or warned."""


@dataclass(frozen=True)
class NodeResult:
    """The result of one node or test; ``failures`` is the number of rows that a test returned, if it ran."""

    unique_id: str
    name: str
    status: str
    seconds: float | None
    failures: int | None
    invocation_id: str

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata for Dagster, with the names that dagster-dbt uses."""
        return {
            "unique_id": self.unique_id,
            "invocation_id": self.invocation_id,
            "status": self.status,
            **({} if self.seconds is None else {"Execution Duration": self.seconds}),
        }


def read_result(raw_event: Mapping[str, Any]) -> NodeResult | None:
    """Return the result in one of dbt's log events; None if it has none."""
    node = raw_event["data"].get("node_info")
    if raw_event["info"]["name"] not in _RESULTS or not node:
        return None
    data = raw_event["data"]
    return NodeResult(
        unique_id=node["unique_id"],
        name=node["node_name"],
        # dbt sets no node status for microbatch models and unit tests.
        status=_text(node.get("node_status")) or str(data.get("status") or "").lower(),
        seconds=_seconds(node) or data.get("execution_time"),
        failures=data.get("num_failures"),
        invocation_id=raw_event["info"]["invocation_id"],
    )


def read_row_counts(raw_event: Mapping[str, Any]) -> Mapping[str, int | None]:
    """Return the row counts in a log event by unique id; None for a count that failed."""
    if raw_event["info"]["name"] != ROW_COUNTS:
        return {}
    counts: Mapping[str, int | None] = raw_event["data"]["row_counts"]
    return counts


def failure_of(
    raw_event: Mapping[str, Any],
    keys: Mapping[str, dg.AssetKey],
    checks: Mapping[str, dg.AssetCheckKey],
    evaluated: Collection[str] = (),
) -> NodeFailure | None:
    """Return the failure of a node, or of a test that could not run, in one of dbt's log events; None if it has none.

    A failed test that ran is a check result and no failure; ``evaluated`` are the tests known to have run. ``keys``
    and ``checks`` are by dbt unique id.
    """
    info, node = raw_event["info"], raw_event["data"].get("node_info") or {}
    unique_id = str(node.get("unique_id"))
    if info["name"] != "RunResultError" or node.get("node_status") == "fail" or unique_id in evaluated:
        return None
    if unique_id in checks:
        return NodeFailure(checks[unique_id].asset_key, info["msg"], check=checks[unique_id].name)
    return NodeFailure(keys[unique_id], info["msg"]) if unique_id in keys else None


def compiled_path(node: Mapping[str, Any], target_path: Path) -> Path:
    """Return the file of a node's compiled SQL."""
    return target_path / "compiled" / str(node["package_name"]) / str(node["original_file_path"])


def to_check_result(result: NodeResult, check: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """Return the check result of a test that ran."""
    failures = {} if result.failures is None else {"dagster_dbt/failed_row_count": result.failures}
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=result.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
        metadata={**result.metadata, **failures},
    )


def _text(value: Any) -> str:
    # dbt writes an unset value as an empty string or the word None.
    return "" if value in {None, "", "None"} else str(value)


def _seconds(node: Mapping[str, Any]) -> float | None:
    started, finished = _text(node.get("node_started_at")), _text(node.get("node_finished_at"))
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
