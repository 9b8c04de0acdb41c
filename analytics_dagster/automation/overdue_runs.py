"""Finds runs of schedule groups that wait for longer than a limit: pending ones, and ones in Dagster's queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics_dagster.automation.instance_snapshot import InstanceSnapshot
from analytics_dagster.automation.pending_runs import SENSOR
from analytics_dagster.automation.run_order import Action


@dataclass(frozen=True)
class OverdueRun:
    """A run of a group that waits: since when, and why."""

    group: str
    since: datetime
    reason: str


def find_overdue(snapshot: InstanceSnapshot, limit: timedelta) -> list[OverdueRun]:
    """Return the runs that have waited for longer than a limit, oldest first."""
    found = []
    for name in snapshot.groups.by_name:
        for record in snapshot.store[name].pending:
            decision = snapshot.decide(name, record) if snapshot.now - record.recorded > limit else None
            if decision and decision.action is not Action.SKIP:
                reason = decision.reason or f"{SENSOR} does not start it: turn it on, or read why its ticks fail"
                found.append(OverdueRun(name, record.recorded, reason))
        for run, created in snapshot.queued_runs(name):
            if snapshot.now - created > limit:
                found.append(OverdueRun(name, created, f"its {run} in Dagster's queue"))
    return sorted(found, key=lambda one: one.since)
