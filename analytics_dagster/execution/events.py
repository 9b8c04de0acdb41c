"""What dbt reports in its structured log, as Dagster's results: one materialization a node, one evaluation a test.

dagster-dbt has a translation of its own, which knows neither functions nor unit tests, and makes a bare observation of
a test that it would place at another asset than the plan does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_dagster.execution.dbt_worker import ROW_COUNTS
from analytics_dagster.execution.failures.observation import Failure

BUILT = frozenset({"success", "no-op"})
"""How a node comes out whose relation is then there: dbt built it, or found that there was nothing to do."""

_RESULTS = frozenset(
    {
        "LogModelResult",
        "LogSeedResult",
        "LogSnapshotResult",
        "LogFunctionResult",
        "LogTestResult",
        "SkippingDetails",
    }
)
"""dbt's events that say how a node came out, one a node."""

REASONS = frozenset({"RunResultError", "RunResultFailure", "RunResultWarning", "RunResultWarningMessage"})
"""dbt's events that say, after everything has run, why a node or test did not pass."""


@dataclass(frozen=True)
class NodeResult:
    """How one node or test came out; ``failures`` is how many rows a test has found, if it ran."""

    unique_id: str
    name: str
    status: str
    seconds: float | None
    failures: int | None
    invocation_id: str

    @property
    def metadata(self) -> dict[str, Any]:
        """What Dagster keeps of it, under the names that dagster-dbt gives it."""
        return {
            "unique_id": self.unique_id,
            "invocation_id": self.invocation_id,
            "status": self.status,
            **({} if self.seconds is None else {"Execution Duration": self.seconds}),
        }


def read_result(raw_event: Mapping[str, Any]) -> NodeResult | None:
    """Return how a node came out, if that is what one of dbt's log events says."""
    node = raw_event["data"].get("node_info")
    if raw_event["info"]["name"] not in _RESULTS or not node:
        return None
    data = raw_event["data"]
    return NodeResult(
        unique_id=node["unique_id"],
        name=node["node_name"],
        # dbt names no node status where it builds in batches, and for unit tests.
        status=_told(node.get("node_status")) or str(data.get("status") or "").lower(),
        seconds=_seconds(node) or data.get("execution_time"),
        failures=data.get("num_failures"),
        invocation_id=raw_event["info"]["invocation_id"],
    )


def read_row_counts(raw_event: Mapping[str, Any]) -> Mapping[str, int | None]:
    """Return the rows of what was built by unique id, None where they could not be counted, if an event says that."""
    if raw_event["info"]["name"] != ROW_COUNTS:
        return {}
    counts: Mapping[str, int | None] = raw_event["data"]["row_counts"]
    return counts


def failure_of(
    raw_event: Mapping[str, Any],
    keys: Mapping[str, dg.AssetKey],
    checks: Mapping[str, dg.AssetCheckKey],
    evaluated: Collection[str] = (),
) -> Failure | None:
    """Return why a node, or a test, could not be run, if that is what one of dbt's log events says.

    A test that ran and found rows is an evaluation and no such failure: those that are known to have are ``evaluated``.
    ``keys`` and ``checks`` are by dbt unique id.
    """
    info, node = raw_event["info"], raw_event["data"].get("node_info") or {}
    unique_id = str(node.get("unique_id"))
    if info["name"] != "RunResultError" or node.get("node_status") == "fail" or unique_id in evaluated:
        return None
    if unique_id in checks:
        return Failure(checks[unique_id].asset_key, info["msg"], check=checks[unique_id].name)
    return Failure(keys[unique_id], info["msg"]) if unique_id in keys else None


def compiled_path(node: Mapping[str, Any], target_path: Path) -> Path:
    """Return where dbt writes the SQL that it has made of a node."""
    return target_path / "compiled" / str(node["package_name"]) / str(node["original_file_path"])


def to_check_result(result: NodeResult, check: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """Return the evaluation of a test that ran."""
    failures = {} if result.failures is None else {"dagster_dbt/failed_row_count": result.failures}
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=result.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
        metadata={**result.metadata, **failures},
    )


def _told(value: Any) -> str:
    # What a log message leaves open is empty, or the word None.
    return "" if value in {None, "", "None"} else str(value)


def _seconds(node: Mapping[str, Any]) -> float | None:
    started, finished = _told(node.get("node_started_at")), _told(node.get("node_finished_at"))
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
