"""Reads what the order of runs depends on from Dagster's instance: records, runs, and which schedules are on.

One evaluation of a schedule or sensor reads each thing at most once (`test_without_pending_runs_no_run_is_read`). The
simulated daemon of the tests replaces this class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property

import dagster as dg

from analytics_dagster.automation.jobs import AD_HOC
from analytics_dagster.automation.pending_run_store import PendingRunStore, Trigger, TriggerRecord, Wait
from analytics_dagster.automation.retry_decision import AD_HOC_SENSOR, PARENT, RETRIES_SENSOR, ROOT, may_be_retried
from analytics_dagster.automation.run_order import (
    QUEUED,
    UNFINISHED,
    Action,
    AutomatedGroups,
    PendingRunDecision,
    RunState,
    UpstreamGroup,
    UpstreamStatus,
    decide_pending_run,
    decide_trigger,
)
from analytics_dagster.planning.cron import ticks_at
from analytics_dagster.planning.groups import GROUP_TAG, PROJECT_TAG

_MAX_START = timedelta(minutes=5)
"""How long a run may have the status NOT_STARTED: the daemon stopped after it created it, or could not queue it."""

_MAX_SEARCHED = 50
"""How many runs of a group are searched for its last run."""


class InstanceSnapshot:
    """What one evaluation of a schedule or sensor reads; each thing is read when it is first needed."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        groups: AutomatedGroups,
        *,
        location: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """Take the name of the code location if it is known: a schedule does not know it."""
        self.groups = groups
        self.now = now or datetime.now(timezone.utc)
        self._instance = instance
        self._location = location

    @cached_property
    def store(self) -> PendingRunStore:
        """The records of all groups."""
        return PendingRunStore(self._instance.daemon_cursor_storage, self.groups.project, self.groups.by_name)

    def occupying_runs(self, name: str) -> list[RunState]:
        """Return the unfinished runs that occupy a group, oldest first.

        These are the runs of its job, and any other run that materializes its assets: "Materialize" in the UI starts a
        run of Dagster's own job. A run that was created and never queued occupies nothing.
        """
        return [
            self._state(record.dagster_run)
            for record in self._unfinished
            if self._is_of(record.dagster_run, name) and not self._is_stuck(record)
        ]

    def queued_runs(self, name: str) -> list[tuple[RunState, datetime]]:
        """Return the runs of a group that have not started, and when they were created."""
        return [
            (self._state(record.dagster_run), record.create_timestamp)
            for record in self._unfinished
            if record.dagster_run.status in QUEUED and self._is_of(record.dagster_run, name)
        ]

    def last_run(self, name: str) -> RunState | None:
        """Return a group's last whole run that is no retry, or a retry of it that has not failed."""
        tags = {GROUP_TAG: name, PROJECT_TAG: self.groups.project}
        assets = self.groups.by_name[name].assets
        for run in self._instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=_MAX_SEARCHED):
            # "Materialize all" in the UI selects every asset of the job.
            if run.parent_run_id is None and PARENT not in run.tags and assets <= (run.asset_selection or assets):
                attempts = self.run_and_retries(run.run_id)
                return next((one for one in attempts if not one.has_failed), self._state(run))
        return None

    def own_reasons(self, name: str) -> list[str]:
        """Return what keeps a group from starting a run: a run that occupies it, or the failure of its last run."""
        reasons = [f"the group's own {run}" for run in self.occupying_runs(name)[:1]]
        last = self.last_run(name) if self.groups.by_name[name].group.depends_on_past else None
        if last and last.has_failed:
            reasons.append(f"its last {last} (depends_on_past: it starts when a retry of that run has succeeded)")
        return reasons

    def unstarted(self, name: str) -> list[TriggerRecord]:
        """Return the pending runs of a group that do not exist yet: the sensor may just have started one."""
        return [record for record in self.store[name].pending if not self.runs_of(name, record.trigger)]

    def decide_trigger(self, name: str, trigger: Trigger, together: Collection[str]) -> TriggerRecord:
        """Return what a group does at a trigger; ``together`` are the groups that have the same trigger."""
        upstream = [
            self._open_work(other, [trigger] if other in together else [])
            for other in self.groups.by_name[name].upstream
        ]
        is_pending, is_busy = bool(self.unstarted(name)), bool(self.own_reasons(name))
        return decide_trigger(trigger, upstream, self.now, is_busy=is_busy, is_pending=is_pending)

    def runs_of(self, name: str, trigger: Trigger) -> list[RunState]:
        """Return a group's run for a trigger, and its retries: they have the trigger's tags."""
        found = self._instance.get_runs(filters=dg.RunsFilter(tags={GROUP_TAG: name, **trigger.tags}))
        return [self._state(run) for run in found if self._is_of(run, name)]

    def run_and_retries(self, run_id: str) -> list[RunState]:
        """Return a run and its retries; none if the run was deleted."""
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return []
        # Only its tags name the first run of a retry that a sensor requested.
        root = run.root_run_id or run.tags.get(ROOT, run_id)
        if not self._instance.has_run(root):
            return [self._state(run)]
        group = self._instance.get_run_group(root)
        return [self._state(one) for one in group[1]] if group else []

    def is_on(self, instigator: str, *, default: bool) -> bool:
        """Return whether a schedule or sensor is on; ``default`` is its status until somebody turns it on or off.

        If several locations have one of this name and ours is not known, it is enough that one of them is on. The
        sensor of pending runs knows its location, so that nothing waits forever for another location's schedule.
        """
        found = [
            default if status is None else status
            for name, location, status in self._switches
            if name == instigator and self._location in (None, location)
        ]
        return any(found) if found else default

    def ticks_at(self, name: str, moment: datetime) -> bool:
        """Return whether a group's schedule is on and ticks at this moment."""
        return self._schedule_is_on(name) and ticks_at(self.groups.by_name[name].group, moment)

    def _open_work(self, name: str, expected: list[Trigger]) -> Wait:
        """Return what a group still has to do: ``expected``, its pending runs, and its unfinished runs."""
        pending = [record.trigger for record in self.store[name].pending]
        triggers = tuple(dict.fromkeys([*expected, *pending]))
        return Wait(name, triggers, tuple(run.run_id for run in self.occupying_runs(name)))

    def decide(self, name: str, record: TriggerRecord) -> PendingRunDecision | None:
        """Return what happens to a pending run of a group; None if it was started."""
        runs = self.runs_of(name, record.trigger)
        if any(run.status is not dg.DagsterRunStatus.NOT_STARTED for run in runs):
            return None
        if runs:
            # The daemon stopped after it created the run and before it queued it. It queues it at the same request.
            return PendingRunDecision(Action.START)
        policy = self.groups.by_name[name].group.on_upstream_failure
        return decide_pending_run(policy, list(self._upstream_statuses(record)), self.own_reasons(name))

    def _upstream_statuses(self, record: TriggerRecord) -> Iterator[UpstreamStatus]:
        for wait in record.waits:
            upstream = UpstreamGroup(wait.group, self.store[wait.group], self._schedule_is_on(wait.group), self)
            statuses = [upstream.status(trigger, record, self.now) for trigger in wait.triggers]
            yield from statuses
            known = {run.run_id for status in statuses for run in status.runs}
            for run_id in wait.runs:
                if run_id not in known:
                    yield UpstreamStatus(wait.group, counts=False, runs=tuple(self.run_and_retries(run_id)))

    def _schedule_is_on(self, name: str) -> bool:
        group = self.groups.by_name.get(name)
        return group is not None and self.is_on(group.schedule_name, default=self.groups.schedules_on)

    @cached_property
    def _unfinished(self) -> Sequence[dg.RunRecord]:
        return self._instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED)), ascending=True)

    def _is_stuck(self, record: dg.RunRecord) -> bool:
        is_created = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
        return is_created and self.now - record.create_timestamp >= _MAX_START

    @cached_property
    def _switches(self) -> list[tuple[str, str, bool | None]]:
        """The name and code location of each schedule and sensor, and whether it is on; None if the code decides."""
        states = [(state, state.origin.repository_origin) for state in self._instance.all_instigator_state()]
        on = {"RUNNING": True, "STOPPED": False}
        return [
            (state.instigator_name, origin.code_location_origin.location_name, on.get(state.status.name))
            for state, origin in states
        ]

    def _is_of(self, run: dg.DagsterRun, name: str) -> bool:
        if GROUP_TAG in run.tags:
            # Another location may have a group of the same name.
            same_project = run.tags.get(PROJECT_TAG, self.groups.project) == self.groups.project
            return run.tags[GROUP_TAG] == name and same_project
        return not self.groups.by_name[name].assets.isdisjoint(run.asset_selection or ())

    def _state(self, run: dg.DagsterRun) -> RunState:
        sensor = AD_HOC_SENSOR if run.job_name == AD_HOC else RETRIES_SENSOR
        will_retry = may_be_retried(run, sensor_is_on=self.is_on(sensor, default=True))
        return RunState(run.run_id, run.status, will_retry=will_retry)
