"""Finds the last evaluation of an asset check, even if a newer execution of the check is only planned.

Reason: the instance returns the latest execution. If that is only planned, it hides the evaluation before it. The event
log storage can filter by status, but `AssetCheckExecutionRecordStatus` has no public name.
Cost of the public alternative: while an execution is planned, only evaluations in the run of the last build are seen.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.guard import available, require_parameters


def last_evaluation(instance: dg.DagsterInstance, check: dg.AssetCheckKey, built_in: str) -> dg.EventLogEntry | None:
    """Return the last evaluation of a check as an event, or None; ``built_in`` is the run of the asset's last build."""
    storage: Any = instance.event_log_storage
    evaluated = available(
        "AssetCheckExecutionRecordStatus", lambda: _evaluated(storage), "reading the latest execution of a check"
    )
    if evaluated is None:
        return _last_public_evaluation(instance, check, built_in)
    records = storage.get_asset_check_execution_history(check, limit=1, status=evaluated)
    return records[0].event if records else None


def _evaluated(storage: Any) -> set[Any]:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

    require_parameters(storage.get_asset_check_execution_history, "check_key", "limit", "cursor", "status")
    return {Status.SUCCEEDED, Status.FAILED}


def _last_public_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, built_in: str
) -> dg.EventLogEntry | None:
    latest = instance.get_latest_asset_check_evaluation_record(check)
    if latest is None or latest.event is None:
        return None
    if latest.event.asset_check_evaluation is not None:
        return latest.event
    logged = instance.all_logs(built_in, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION) if built_in else []
    of_check = [
        event
        for event in logged
        if event.asset_check_evaluation and event.asset_check_evaluation.asset_check_key == check
    ]
    return of_check[-1] if of_check else None
