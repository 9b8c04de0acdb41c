"""One look at what has happened since the last one: runs that ended, ticks that failed; and the letters that follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import dagster as dg

from analytics_dagster.alerting.alerts import lasting, observe
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.incidents import Observation, Severity
from analytics_dagster.alerting.instigators import observe_ticks, read_ticks
from analytics_dagster.alerting.outbox import Outbox
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState, AlertStore
from analytics_dagster.automation.jobs import PROJECT_TAG
from analytics_dagster.automation.retry_decision import DECISION, PARENT, due_at, may_be_retried, with_retry
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.execution.failures.report import FailureReport
from analytics_dagster.planning.groups import ScheduleGroup

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

_OVERLAP = 600.0
"""How far before the last look this one begins: clocks differ, and what a run has said may arrive late."""

_REMEMBERED = 172_800.0
"""How long it is remembered that a run was looked at: its tags may change, and then it seems to be new."""

_SECONDS = 20.0
"""How long the runs that ended may be looked at in one tick."""

_UNDECIDED = 300.0
"""How long a failed run may wait for the decision whether it is retried."""

_OVERDUE = 900.0
"""How long after it was due a retry may take to come."""

_SLOW_BY, _SLOW_TIMES = 300.0, 2.0


@dataclass(frozen=True)
class LocationContext:
    """The location that is looked at; ``catalog`` is made when it is first needed."""

    project: str
    deployment: DeploymentInfo
    routes: Routes
    catalog: Callable[[], AssetCatalog]
    schedules: Mapping[str, ScheduleGroup] = field(default_factory=dict)
    instigators: tuple[str, ...] = ()
    name: str | None = None

    def owns(self, run: dg.DagsterRun) -> bool:
        """Return whether a run is one of this location, and not of another of the same Dagster instance."""
        if PROJECT_TAG in run.tags:
            return run.tags[PROJECT_TAG] == self.project
        origin = run.remote_job_origin
        return origin is None or self.name in (None, origin.location_name)


@dataclass
class AlertMonitor:
    """Looks at an instance, and tells what it sees."""

    instance: dg.DagsterInstance
    context: LocationContext
    store: AlertStore
    delivery: Delivery
    now: float

    def tick(self) -> list[str]:
        """Do all that a tick does, and return a line for each letter that was sent or could not be.

        What was seen is kept, with the letters that follow from it, before the first of them is sent.
        """
        state = self.store.read(self.now)
        before = state
        self._notes: list[Content] = []
        state, observations = self._runs(state)
        if self.context.instigators:
            observations.append(self._ticks(state))
        outbox = Outbox(state, self.context.routes, self.context.deployment.environment, self.now)
        state = outbox.take(observations)
        for note in self._notes:
            state = outbox.note(note)
        if state != before:
            self.store.write(state)
        self.delivery.run(state, self.now)
        return [*self.delivery.sent, *self.delivery.failed]

    # --- runs ------------------------------------------------------------------------------------------------------

    def _runs(self, state: AlertState) -> tuple[AlertState, list[Observation]]:
        handled, waiting, observations = dict(state.handled), dict(state.waiting), list[Observation]()
        for run_id, until in list(waiting.items()):
            record = self.instance.get_run_record_by_id(run_id)
            if record is None or self._has_retry(run_id):
                del waiting[run_id]
            elif self.now > until or not self._is_waiting(record):
                del waiting[run_id]
                observations.append(self._observe(record))
            else:
                waiting[run_id] = self._until(record)
        is_open, end, is_whole = any(one.is_open for one in state.incidents), time.monotonic() + _SECONDS, True
        for record in self._ended(state, handled):
            if time.monotonic() > end:
                # What is left is looked at the next time: a tick that takes too long comes to nothing.
                is_whole = False
                break
            run = record.dagster_run
            handled[run.run_id] = record.end_time or self.now
            # Where nothing is open, it says nothing that something is green.
            brief = run.status is dg.DagsterRunStatus.SUCCESS and not is_open and not observations
            observation = self._observe(record, brief=brief)
            if run.status is dg.DagsterRunStatus.FAILURE and self._has_retry(run.run_id):
                # What failed of it is told by the run that has run it again.
                observation = replace(observation, alerts=())
            elif self._is_waiting(record):
                waiting[run.run_id] = self._until(record)
                observation = replace(observation, alerts=())
            observations += [observation, *self._of_canceled_retry(run)]
        remembered = {run_id: ended for run_id, ended in handled.items() if ended > state.since - _REMEMBERED}
        observations.sort(key=lambda observation: observation.moment)
        # What it begins with is kept: a look that nothing came of needs not be written down.
        is_due = remembered != state.handled or waiting != state.waiting or self.now - state.since > _OVERLAP
        since = self.now if is_due and is_whole else state.since
        return replace(state, handled=remembered, waiting=waiting, since=since), observations

    def _ended(self, state: AlertState, handled: Mapping[str, float]) -> Iterator[dg.RunRecord]:
        """Yield the runs of this location that ended since the last look, in the order in which they ended."""
        since = datetime.fromtimestamp(state.since - _OVERLAP, timezone.utc)
        records = self.instance.get_run_records(
            filters=dg.RunsFilter(statuses=list(ENDED), updated_after=since),
            order_by="update_timestamp",
            ascending=True,
        )
        for record in records:
            run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
            is_news = run.run_id not in handled and ended >= max(state.began, state.since - _REMEMBERED)
            if is_news and self.context.owns(run):
                yield record

    def _observe(self, record: dg.RunRecord, *, brief: bool = False) -> Observation:
        report = self._report(record, brief=brief)
        if report.status == "SUCCESS" and _is_slow(report):
            self._notes.append(_slow(report))
        return observe(report, self.context.catalog(), self.context.routes.critical)

    def _report(self, record: dg.RunRecord, *, brief: bool = False) -> FailureReport:
        report = read_report(self.instance, record, self.context.catalog(), self.context.deployment, brief=brief)
        return with_retry(report, record.dagster_run)

    def _of_canceled_retry(self, run: dg.DagsterRun) -> list[Observation]:
        """Return what the failed run comes to whose retry was canceled: nothing will put it right any more."""
        if run.status is not dg.DagsterRunStatus.CANCELED or PARENT not in run.tags:
            return []
        parent = self.instance.get_run_record_by_id(run.tags[PARENT])
        if parent is None or parent.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            return []
        return [self._observe(parent)]

    def _is_waiting(self, record: dg.RunRecord) -> bool:
        run = record.dagster_run
        return may_be_retried(run, sensor_is_on=True) and self.now <= self._until(record)

    def _until(self, record: dg.RunRecord) -> float:
        due = due_at(record.dagster_run)
        if DECISION in record.dagster_run.tags and due is not None:
            return due + _OVERDUE
        return (record.end_time or self.now) + _UNDECIDED

    def _has_retry(self, run_id: str) -> bool:
        return bool(self.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run_id}), limit=1))

    # --- ticks -----------------------------------------------------------------------------------------------------

    def _ticks(self, state: AlertState) -> Observation:
        ticks = read_ticks(self.instance, self.context.name, self.context.instigators)
        secrets = self.context.deployment.secrets
        return observe_ticks(ticks, self.context.schedules, began=state.began, now=self.now, secrets=secrets)


def _is_slow(report: FailureReport) -> bool:
    if report.seconds is None or report.usual is None:
        return False
    return report.seconds > max(report.usual * _SLOW_TIMES, report.usual + _SLOW_BY)


def _slow(report: FailureReport) -> Content:
    took, usual = lasting(report.seconds or 0.0), lasting(report.usual or 0.0)
    return Content(
        None,
        Severity.WARN,
        f"{report.job} took {took}, usually {usual}",
        links=(("Open the run", report.url),) if report.url else (),
    )
