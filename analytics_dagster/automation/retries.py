"""Runs that failed for what passes by itself are run again, after a while: what failed and what was skipped alone.

Dagster's own retries start at once, and whatever the failure was; so they are off for the runs of schedule groups, and
a sensor submits ours. What it has decided stands in the tags of the failed run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.jobs import GROUP_TAG, PROJECT_TAG
from analytics_dagster.automation.retrying import (
    DECISION,
    DUE,
    NUMBER,
    PARENT,
    RETRIED_BY,
    SENSOR,
    decide,
    due_at,
    may_be_retried,
    number_of,
    retry_request,
)
from analytics_dagster.automation.situation import Order
from analytics_dagster.failures.catalog import Catalog
from analytics_dagster.failures.leftover import find_leftover
from analytics_dagster.failures.reading import Place, read_report

if TYPE_CHECKING:
    from analytics_dagster.automation.jobs import AssetJob

_LOOKS_BACK = timedelta(days=7)
_GIVES_UP_AFTER = 3_600.0
"""How many seconds after it was due a retry is given up that never came: it was deleted, or its job is gone."""


@dataclass
class Retries:
    """What the sensor does at a tick: it decides about runs that have failed, and requests the retries that are due."""

    instance: dg.DagsterInstance
    order: Order
    place: Place
    now: float

    def look(self) -> tuple[list[dg.RunRequest], list[str]]:
        """Return the runs to start, and a line for each run about which something was decided or done."""
        requests, lines = [], []
        records = self._records()
        for record in records:
            line = self._mark_retried(record.dagster_run)
            lines += [line] if line else []
        for record in records:
            run = self.instance.get_run_by_id(record.dagster_run.run_id)
            if run is None or RETRIED_BY in run.tags:
                continue
            if DECISION not in run.tags:
                line, run = self._decide(record, run)
                lines.append(line)
            due = due_at(run)
            if due is not None and due <= self.now:
                request, line = self._start(run, due)
                requests += [request] if request else []
                lines.append(line)
        return requests, lines

    def _records(self) -> Sequence[dg.RunRecord]:
        """Return the failed runs that may be retried, those first that failed first."""
        since = datetime.fromtimestamp(self.now, timezone.utc) - _LOOKS_BACK
        filters = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE], tags={PROJECT_TAG: self.order.project}, updated_after=since
        )
        records = self.instance.get_run_records(filters=filters, order_by="update_timestamp", ascending=True)
        return [record for record in records if may_be_retried(record.dagster_run, sensor_is_on=True)]

    def _mark_retried(self, run: dg.DagsterRun) -> str:
        children = self.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run.run_id}), limit=1)
        if not children:
            return ""
        self.instance.add_run_tags(run.run_id, {RETRIED_BY: children[0].run_id})
        return f"Run {run.run_id} of {run.job_name} was run again by {children[0].run_id}."

    def _decide(self, record: dg.RunRecord, run: dg.DagsterRun) -> tuple[str, dg.DagsterRun]:
        report = read_report(self.instance, record, Catalog([]), self.place)
        group = self.order.groups.get(run.tags.get(GROUP_TAG, ""))
        retry = decide(report, group.group if group else None, number_of(run.tags, NUMBER))
        tags = {DECISION: retry.reason}
        if retry.due is not None:
            tags[DUE] = datetime.fromtimestamp(retry.due, timezone.utc).isoformat()
        self.instance.add_run_tags(run.run_id, tags)
        return f"Run {run.run_id} of {run.job_name}: {retry.reason}.", run.with_tags({**run.tags, **tags})

    def _start(self, run: dg.DagsterRun, due: float) -> tuple[dg.RunRequest | None, str]:
        leftover = find_leftover(self.instance, run.run_id)
        if not leftover or self.now - due > _GIVES_UP_AFTER:
            reason = "it would come too late" if leftover else "nothing of it is left to do"
            self.instance.add_run_tags(run.run_id, {DECISION: f"not retried: {reason}", RETRIED_BY: ""})
            return None, f"Run {run.run_id} of {run.job_name} is not retried: {reason}."
        number = number_of(run.tags, NUMBER) + 1
        what = f"{len(leftover.assets)} assets and {len(leftover.checks)} checks"
        return retry_request(run, leftover, number), f"Run {run.run_id} of {run.job_name} is run again: {what}."


def build_retries_sensor(
    jobs: Sequence[AssetJob], order: Order, place: Place, *, minimum_interval_seconds: int = 15
) -> dg.SensorDefinition:
    """Return the sensor that retries failed runs of schedule groups; it is on everywhere, as the groups ask for it."""

    @dg.sensor(
        name=SENSOR,
        jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Runs again, after a while, what failed of a run for a reason that passes by itself.",
    )
    def retries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(timezone.utc).timestamp()
        requests, lines = Retries(context.instance, order, place, now).look()
        for line in lines:
            context.log.info(line)
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason(" ".join(lines) or "No failed run is to be retried.")

    return retries_sensor
