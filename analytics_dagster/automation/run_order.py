"""Decides what a group does at a trigger, and whether its pending run starts, waits or is skipped. Pure.

If a group is busy, or ticks at the same moment as an upstream group, its schedule records a pending run instead of
launching one; the sensor of pending runs starts it when the other runs have ended. Dagster's queue cannot do that: it
orders only runs that are queued together, starts the next one as soon as a slot is free, and queues one run per tick of
a busy group. Without these decisions a run starts before or beside its upstream run (`test_run_order_simulated.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

import dagster as dg

from analytics_dagster.automation.pending_run_store import GroupRecords, Outcome, Trigger, TriggerRecord, Wait
from analytics_dagster.planning.groups import OnUpstreamFailure, ScheduleGroup

GRACE = timedelta(minutes=2)
"""How late an expected tick, and a run that a schedule requested, may be: the daemon evaluates the schedules of one
minute one after the other, and may have been down."""

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
"""The statuses of a finished run."""

# A run with the status MANAGED is managed outside of Dagster.
UNFINISHED = tuple(one for one in dg.DagsterRunStatus if one not in (*ENDED, dg.DagsterRunStatus.MANAGED))
"""The statuses of a run that is queued, starting or in progress."""

QUEUED = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
"""The statuses of a run that has not started."""


@dataclass(frozen=True)
class AutomatedGroup:
    """A schedule group that has a job; ``assets`` are its own nodes, ``upstream`` the groups that run before it."""

    group: ScheduleGroup
    assets: frozenset[dg.AssetKey]
    upstream: tuple[str, ...]

    @property
    def schedule_name(self) -> str:
        """The name of the group's schedule."""
        return f"{self.group.name}_schedule"


@dataclass(frozen=True)
class AutomatedGroups:
    """The schedule groups of a dbt project, upstream first.

    ``project`` is its name: a tag of the runs, and part of the keys of the stored records. ``schedules_on`` says
    whether schedules are on until somebody turns them on or off.
    """

    project: str
    by_name: Mapping[str, AutomatedGroup]
    schedules_on: bool


def decide_trigger(
    trigger: Trigger, upstream: Sequence[Wait], now: datetime, *, is_busy: bool, is_pending: bool
) -> TriggerRecord:
    """Return what a group does at a trigger.

    Two runs of one group never overlap: a trigger of a group that ``is_busy`` is pending. A run that ``is_pending``
    since an earlier trigger covers this one: if each trigger replaced it and waited for the upstream runs again, a
    group would never run whose upstream takes longer than the time between ticks.
    """
    waits = tuple(wait for wait in upstream if not wait.is_over)
    if is_pending:
        return TriggerRecord(trigger, Outcome.JOINED, now, waits)
    return TriggerRecord(trigger, Outcome.PENDING if waits or is_busy else Outcome.LAUNCHED, now, waits)


@dataclass(frozen=True)
class RunState:
    """A run's status; ``will_retry`` means that it failed and its retry has not started yet."""

    run_id: str
    status: dg.DagsterRunStatus
    will_retry: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it is finished."""
        return self.status in ENDED

    @property
    def has_failed(self) -> bool:
        """Whether it failed or was canceled."""
        return self.has_ended and self.status is not dg.DagsterRunStatus.SUCCESS

    def __str__(self) -> str:
        """Return it for messages."""
        return f"run {self.run_id} is {self.status.value}"


class RunLookup(Protocol):
    """Finds runs in Dagster's storage, newest first."""

    def runs_of(self, name: str, trigger: Trigger) -> Sequence[RunState]:
        """Return a group's run for a trigger, and its retries."""


@dataclass(frozen=True)
class UpstreamStatus:
    """What is known of one run that a pending run waits for: the run and its retries, newest first.

    ``expected`` says why it may still appear, ``skipped`` why it never will. ``counts`` says whether its result
    matters: only if it has the same trigger as the pending run. Any other run is only waited for.
    """

    group: str
    counts: bool = True
    runs: tuple[RunState, ...] = ()
    expected: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class UpstreamGroup:
    """A group that others wait for; ``schedule_on`` says whether its schedule is on."""

    name: str
    records: GroupRecords
    schedule_on: bool
    lookup: RunLookup

    def status(self, trigger: Trigger, waiting: TriggerRecord, now: datetime) -> UpstreamStatus:
        """Return what is known of this group's run for a trigger, for which the run of ``waiting`` waits.

        If the daemon was down and left out a tick, the next one covers it. If the tick joined a pending run, that run
        covers it.
        """
        status = UpstreamStatus(self.name, counts=trigger == waiting.trigger)
        record = next((one for one in self.records.of_kind(trigger) if one.trigger.moment >= trigger.moment), None)
        if record is None:
            may_tick = self.schedule_on and not trigger.ingestion
            is_expected = may_tick and now < max(trigger.moment, waiting.recorded) + GRACE
            return replace(status, expected=f"is expected to run at {trigger}" if is_expected else "")
        covering = self.records.covering(record.trigger)
        resolution = self.records.resolution(covering)
        if resolution and resolution.skipped:
            return replace(status, skipped=resolution.skipped)
        if any(pending.trigger == covering for pending in self.records.pending):
            return replace(status, expected=f"has a pending run since {covering}")
        runs = tuple(self.lookup.runs_of(self.name, covering))
        is_requested = not runs and now < record.recorded + GRACE
        return replace(status, runs=runs, expected="has requested a run" if is_requested else "")


class Action(Enum):
    """What happens to a pending run now."""

    START = "start"
    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True)
class PendingRunDecision:
    """What happens to a pending run now, and why."""

    action: Action
    reason: str = ""


def decide_pending_run(
    policy: OnUpstreamFailure, upstream: Sequence[UpstreamStatus], own: Sequence[str]
) -> PendingRunDecision:
    """Return what happens to a pending run; ``own`` says what keeps its group from starting any run.

    It is skipped as soon as that is certain, and started when there is nothing left to wait for.
    """
    decisions = [_decide_for_one(policy, status) for status in upstream]
    decisions += [PendingRunDecision(Action.WAIT, reason) for reason in own]
    for action in (Action.SKIP, Action.WAIT):
        reasons = dict.fromkeys(one.reason for one in decisions if one.action is action)
        if reasons:
            return PendingRunDecision(action, "; ".join(reasons))
    return PendingRunDecision(Action.START)


def _decide_for_one(policy: OnUpstreamFailure, status: UpstreamStatus) -> PendingRunDecision:
    ignores_failure = policy is OnUpstreamFailure.RUN
    if ignores_failure and any(run.has_ended for run in status.runs):
        # Retries of a finished run are not waited for.
        return PendingRunDecision(Action.START)
    reason = _why_skipped(policy, status) if status.counts and not ignores_failure else ""
    if reason:
        return PendingRunDecision(Action.SKIP, reason)
    reason = _why_waiting(status)
    return PendingRunDecision(Action.WAIT if reason else Action.START, reason)


def _why_skipped(policy: OnUpstreamFailure, status: UpstreamStatus) -> str:
    if status.skipped:
        return f"{status.group} was skipped ({status.skipped})"
    failed = next((run for run in status.runs if run.has_failed), None)
    may_succeed = any(run.will_retry or not run.has_failed for run in status.runs)
    if failed and (policy is OnUpstreamFailure.SKIP or not may_succeed):
        return f"{status.group}'s {failed}"
    return ""


def _why_waiting(status: UpstreamStatus) -> str:
    unfinished = next((run for run in status.runs if not run.has_ended), None)
    retried = next((run for run in status.runs if run.will_retry), None)
    if unfinished:
        return f"{status.group}'s {unfinished}"
    if retried:
        return f"{status.group}'s {retried} and will be retried"
    return f"{status.group} {status.expected}" if status.expected else ""
