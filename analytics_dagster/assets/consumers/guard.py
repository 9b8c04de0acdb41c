"""Whether marts are fit to be read: built, not failed since, and with no failed check of severity error.

Within one run Dagster itself skips what follows a failure. This is for the marts of other runs: a consumer that is
run alone, or with the nightly group while a mart of the hourly one has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

# No public name stands for the status of a check's execution; a test looks whether this one still does.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from analytics_dagster.assets.consumers.mart import Mart

if TYPE_CHECKING:
    from dagster import EventLogEntry

_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def ensure_healthy(
    instance: dg.DagsterInstance,
    run_id: str,
    marts: Iterable[Mart],
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
) -> None:
    """Return if all marts are fit to be read by the run ``run_id``.

    Raises `dagster.Failure`, which is not retried, with every reason why one is not: mart, check and run.
    """
    reasons = [
        reason
        for mart in marts
        for reason in reasons_against(instance, run_id, mart, blocking_checks.get(mart.key, ()))
    ]
    if reasons:
        raise dg.Failure(
            "Not made from marts that are not fit to be read:\n  "
            + "\n  ".join(reasons)
            + "\n  -> Correct the cause and build these marts again (a run of the job named); then this asset.",
            metadata={"reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons))},
            allow_retries=False,
        )


def reasons_against(
    instance: dg.DagsterInstance, run_id: str, mart: Mart, checks: Sequence[dg.AssetCheckKey]
) -> Iterator[str]:
    """Yield why a mart is not fit to be read by the run ``run_id``; nothing if it is."""
    records = instance.get_asset_records([mart.key])
    entry = records[0].asset_entry if records else None
    built = entry.last_materialization if entry else None
    # The run that last planned or built the mart: a failed model leaves no event of its own.
    attempt = entry.last_run_id if entry else None
    if attempt not in (None, run_id, built.run_id if built else None):
        run = instance.get_run_by_id(str(attempt))
        if run is not None and run.status is dg.DagsterRunStatus.FAILURE:
            yield f"{mart.name} (job {mart.group}) was not built in its last run, {attempt}, which failed"
            return
    if built is None:
        yield f"{mart.name} (job {mart.group}) was never built"
        return
    for check in checks:
        failed_in = _failed_in(instance, check, built)
        if failed_in is not None:
            # What is reported from outside of Dagster has an empty run id.
            where = f"in run {failed_in}" if failed_in else "outside of any run"
            yield f"{mart.name} (job {mart.group}) failed the check {check.name} {where}"


def _failed_in(instance: dg.DagsterInstance, check: dg.AssetCheckKey, built: EventLogEntry) -> str | None:
    """Return the id of the run in which a check failed on the mart as it was last built, or None if it did not.

    The instance's own method returns the latest execution, which may be planned only, and hide the evaluation
    before it; the storage behind it can be asked for evaluations alone. One of an older build says nothing.
    """
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=1, status=_EVALUATED):
        event, evaluation = record.event, record.evaluation
        if event is None or evaluation is None or evaluation.passed:
            continue
        same_run = bool(built.run_id) and record.run_id == built.run_id
        is_of_this_build = same_run or event.timestamp >= built.timestamp
        if is_of_this_build and evaluation.severity is dg.AssetCheckSeverity.ERROR:
            return record.run_id
    return None
