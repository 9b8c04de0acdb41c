"""The dbt models that consumers read, and the guard that they are usable: built, and without a failed error check.

Within one run Dagster skips what is downstream of a failure. The guard is for marts of other runs: a consumer that runs
alone, or with the nightly group after a mart of the hourly group has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from analytics_dagster.dagster_internals.check_history import last_evaluation
from analytics_dagster.warehouse import Table


@dataclass(frozen=True)
class Mart:
    """A dbt model that consumers may read: its dbt name, asset and table, and the schedule group that builds it."""

    name: str
    key: dg.AssetKey
    table: Table
    group: str


def find_marts(
    manifest: Mapping[str, Any], keys: Mapping[str, dg.AssetKey], group_of: Mapping[str, str]
) -> Mapping[str, Mart]:
    """Return the models of a manifest, or of a subset of it, that dbt builds as a relation, by dbt name.

    ``keys`` and ``group_of`` are the asset key and the schedule group of each node by unique id. Of two models with
    one name, or two versions of a model, the later in the order of ``keys`` wins.
    """
    nodes = manifest["nodes"]
    return {
        nodes[unique_id]["name"]: Mart(
            name=nodes[unique_id]["name"],
            key=key,
            table=Table(schema=nodes[unique_id]["schema"], name=nodes[unique_id]["alias"]),
            group=group_of[unique_id],
        )
        for unique_id, key in keys.items()
        if unique_id.startswith("model.") and unique_id in nodes
    }


def require_usable(
    instance: dg.DagsterInstance,
    run_id: str,
    marts: Iterable[Mart],
    blocking_checks: Mapping[dg.AssetKey, Sequence[dg.AssetCheckKey]],
) -> None:
    """Raise `dagster.Failure`, which is not retried, with every reason why the run ``run_id`` may not read a mart."""
    reasons = [
        reason
        for mart in marts
        for reason in reasons_against(instance, run_id, mart, blocking_checks.get(mart.key, ()))
    ]
    if reasons:
        raise dg.Failure(
            "The marts that this asset reads are not usable:\n  "
            + "\n  ".join(reasons)
            + "\n  -> Correct the cause, build these marts again by the named job, then build this asset.",
            metadata={"reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons))},
            allow_retries=False,
        )


def reasons_against(
    instance: dg.DagsterInstance, run_id: str, mart: Mart, checks: Sequence[dg.AssetCheckKey]
) -> Iterator[str]:
    """Yield the reasons why the run ``run_id`` may not read a mart."""
    records = instance.get_asset_records([mart.key])
    entry = records[0].asset_entry if records else None
    built = entry.last_materialization if entry else None
    # The run that last planned or built the mart: a failed model has no event of its own.
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
            # An event that was reported from outside of Dagster has an empty run id.
            where = f"in run {failed_in}" if failed_in else "outside of any run"
            yield f"{mart.name} (job {mart.group}) failed the check {check.name} {where}"


def _failed_in(instance: dg.DagsterInstance, check: dg.AssetCheckKey, built: dg.EventLogEntry) -> str | None:
    """Return the id of the run in which an error check failed on the last build of a mart, or None."""
    event = last_evaluation(instance, check, built.run_id)
    evaluation = event.asset_check_evaluation if event else None
    if event is None or evaluation is None or evaluation.passed:
        return None
    same_run = bool(built.run_id) and event.run_id == built.run_id
    is_of_this_build = same_run or event.timestamp >= built.timestamp
    return event.run_id if is_of_this_build and evaluation.severity is dg.AssetCheckSeverity.ERROR else None
