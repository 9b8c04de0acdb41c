"""One tick of the alerts: reads what happened since the last one, and queues and sends the notifications."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from fnmatch import fnmatchcase

import dagster as dg

from analytics_dagster.alerting.alerts import observe_run
from analytics_dagster.alerting.dispatch import Dispatcher
from analytics_dagster.alerting.health import WAITING
from analytics_dagster.alerting.incidents import Alert, IncidentEvent, Observation, Severity
from analytics_dagster.alerting.instigators import observe_ticks, read_ticks
from analytics_dagster.alerting.outbox import Note
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routing import next_time
from analytics_dagster.alerting.store import AlertState
from analytics_dagster.alerting.summary import ENDED, announce_success, read_summary, slow_run
from analytics_dagster.automation.retry_decision import DECISION, PARENT, due_at, may_be_retried, with_retry
from analytics_dagster.execution.failures.catalog import AssetCatalog
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.execution.failures.events import read_report
from analytics_dagster.planning.groups import PROJECT_TAG, ScheduleGroup
from analytics_dagster.redaction import redact, useful_lines

_DEFINED = ("asset:", "check:", "job:", "schedule:", "sensor:")
"""The prefixes of subjects that a location defines."""

_OVERLAP = 600.0
"""How far a tick reads back before the last one, in seconds: clocks differ, and events may arrive late."""

_REMEMBERED = 172_800.0
"""How long a run counts as handled, in seconds: a later change of its tags updates its timestamp."""

_SECONDS = 10.0
"""How long one tick reads ended runs, in seconds."""

_UNDECIDED = 300.0
"""How long a failed run waits for the decision whether it is retried, in seconds."""

_OVERDUE = 900.0
"""How late a retry may start, in seconds."""


@dataclass(frozen=True)
class LocationContext:
    """The monitored code location. ``catalog`` builds the asset catalog, which takes time, when it is needed.

    ``subjects`` returns what the location defines, as subjects of alerts; None if that is not known. ``retries`` says
    whether sensors retry failed runs: if not, no failure waits for a retry. ``observe_overdue`` finds runs that have
    waited for too long.
    """

    project: str
    deployment: DeploymentInfo
    routes: Routes
    catalog: Callable[[], AssetCatalog]
    schedules: Mapping[str, ScheduleGroup] = field(default_factory=dict)
    instigators: tuple[str, ...] = ()
    name: str | None = None
    subjects: Callable[[], frozenset[str] | None] = lambda: None
    retries: bool = True
    observe_overdue: Callable[[dg.DagsterInstance], Observation] = lambda _: Observation(0.0)

    def as_text(self, error: Exception) -> str:
        """Return an error as a message, without secrets."""
        return useful_lines(redact(f"{type(error).__name__}: {error}", self.deployment.secrets))

    def owns(self, run: dg.DagsterRun) -> bool:
        """Return whether a run belongs to this location; a Dagster instance may have several."""
        if PROJECT_TAG in run.tags:
            return run.tags[PROJECT_TAG] == self.project
        origin = run.remote_job_origin
        return origin is None or self.name in (None, origin.location_name)


@dataclass
class AlertMonitor:
    """Monitors the runs, sensors and schedules of a location, and sends alerts."""

    instance: dg.DagsterInstance
    context: LocationContext
    dispatcher: Dispatcher
    _notes: list[Note] = field(default_factory=list, init=False)

    @property
    def now(self) -> float:
        """The time of the tick."""
        return self.dispatcher.now

    def tick(self) -> AlertState:
        """Queue and send the notifications of a tick, and return the state after that."""
        before = self.dispatcher.store.read(self.now)
        state, observations = self._observe_runs(before)
        with self._isolated("sensors and schedules"):
            observations.append(self._observe_ticks(state))
        with self._isolated("runs that wait"):
            observations.append(self.context.observe_overdue(self.instance))
        with self._isolated("what the location defines"):
            observations.append(Observation(self.now, gone=self._gone(state)))
        with self._isolated("the daily summary"):
            state = self._summarized(state)
        return self.dispatcher.apply(before, state, observations, self._notes)

    @contextmanager
    def _isolated(self, what: str) -> Iterator[None]:
        """Log an error in one part of a tick: it must not stop the alerts about others."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self.dispatcher.failed.append(f"{what} could not be read: {self.context.as_text(error)}")

    def _observe_runs(self, state: AlertState) -> tuple[AlertState, list[Observation]]:
        """Return the state with the runs that were read, and what they show."""
        waiting, observations = self._observe_waiting(state)
        handled, is_complete = dict(state.handled), True
        end = time.monotonic() + _SECONDS
        # Without an open incident, successes do not matter and are not read.
        matter = any(one.is_open for one in state.incidents)
        matter |= any(channel.successes for channel in self.context.routes.channels.values())
        for record in self._ended(state):
            if time.monotonic() > end:
                # The next tick reads the other runs: Dagster cancels a tick that takes too long.
                is_complete = False
                break
            run = record.dagster_run
            handled[run.run_id] = record.end_time or self.now
            brief = run.status is dg.DagsterRunStatus.SUCCESS and not matter and not observations
            observation = self._observe(record, brief=brief)
            has_retry = run.status is dg.DagsterRunStatus.FAILURE and self._has_retry(run.run_id)
            deadline = None if has_retry else self._retry_deadline(record)
            waiting |= {} if deadline is None else {run.run_id: deadline}
            if has_retry or deadline is not None:
                # The run of the retry reports the failures.
                observation = replace(observation, alerts=())
            observations += [observation, *self._observe_canceled_retry(run)]
        observations.sort(key=lambda observation: observation.moment)
        handled = {run_id: ended for run_id, ended in handled.items() if ended > state.since - _REMEMBERED}
        # ``since`` advances only if something else changed, or rarely: an idle tick writes nothing.
        has_changed = handled != state.handled or waiting != state.waiting or self.now - state.since > _OVERLAP
        since = self.now if has_changed and is_complete else state.since
        return replace(state, handled=handled, waiting=waiting, since=since), observations

    def _observe_waiting(self, state: AlertState) -> tuple[dict[str, float], list[Observation]]:
        """Return the failed runs that still wait for a retry, and the observations of those that will get none."""
        waiting, observations = dict[str, float](), list[Observation]()
        for run_id, until in state.waiting.items():
            record = self.instance.get_run_record_by_id(run_id)
            if record is None or self._has_retry(run_id):
                continue
            deadline = self._retry_deadline(record)
            if deadline is None or self.now > until:
                observations.append(self._observe(record))
            else:
                waiting[run_id] = deadline
        return waiting, observations

    def _ended(self, state: AlertState) -> Iterator[dg.RunRecord]:
        """Yield the location's runs that ended and are not handled, in the order in which they ended."""
        since = datetime.fromtimestamp(state.since - _OVERLAP, timezone.utc)
        ended_since = dg.RunsFilter(statuses=list(ENDED), updated_after=since)
        for record in self.instance.get_run_records(ended_since, order_by="update_timestamp", ascending=True):
            run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
            is_new = run.run_id not in state.handled and ended >= max(state.began, state.since - _REMEMBERED)
            if is_new and self.context.owns(run):
                yield record

    def _observe(self, record: dg.RunRecord, *, brief: bool = False) -> Observation:
        """Return what a run shows. A run that cannot be read is an incident of its own."""
        run, routes, deployment = record.dagster_run, self.context.routes, self.context.deployment
        try:
            catalog = self.context.catalog()
            report = read_report(self.instance, record, catalog, deployment, brief=brief)
            report = with_retry(report, run)
            observation = observe_run(report, catalog, routes.critical)
        except Exception as error:  # noqa: BLE001 - one run must not stop the alerts about others
            job, moment, message = run.job_name, record.end_time or self.now, self.context.as_text(error)
            title, key, url = f"a run of {job} could not be read", f"report:{job}", deployment.run_url(run.run_id)
            alert = Alert(key, title, FailureKind.CODE, Severity.ERROR, moment, message, (f"job:{job}",), url=url)
            return Observation(moment, (alert,))
        slow = slow_run(report)
        is_good = report.status == "SUCCESS" and all(one.severity is Severity.WARN for one in observation.alerts)
        for name, channel in routes.channels.items():
            self._notes += [(name, IncidentEvent.UPDATED, slow)] if slow and channel.digest else []
            if is_good and any(fnmatchcase(report.job, pattern) for pattern in channel.successes):
                self._notes.append((name, IncidentEvent.SUCCEEDED, announce_success(report)))
        return observation

    def _observe_canceled_retry(self, run: dg.DagsterRun) -> list[Observation]:
        """Return the observation of the failed run whose retry was canceled: it will get no other."""
        is_canceled = run.status is dg.DagsterRunStatus.CANCELED and PARENT in run.tags
        parent = self.instance.get_run_record_by_id(run.tags[PARENT]) if is_canceled else None
        has_failed = parent is not None and parent.dagster_run.status is dg.DagsterRunStatus.FAILURE
        return [self._observe(parent)] if parent and has_failed else []

    def _retry_deadline(self, record: dg.RunRecord) -> float | None:
        """Return until when the retry of a failed run must start, or None if no retry is expected."""
        run, due = record.dagster_run, due_at(record.dagster_run)
        is_decided = due is not None and DECISION in run.tags
        until = (due or 0.0) + _OVERDUE if is_decided else (record.end_time or self.now) + _UNDECIDED
        return until if may_be_retried(run, sensor_is_on=self.context.retries) and self.now <= until else None

    def _has_retry(self, run_id: str) -> bool:
        return bool(self.instance.get_runs(filters=dg.RunsFilter(tags={PARENT: run_id}), limit=1))

    def _observe_ticks(self, state: AlertState) -> Observation:
        context, secrets = self.context, self.context.deployment.secrets
        ticks = read_ticks(self.instance, context.name, context.instigators)
        return observe_ticks(ticks, context.schedules, began=state.began, now=self.now, secrets=secrets)

    def _gone(self, state: AlertState) -> frozenset[str]:
        """Return the subjects of open incidents that the location no longer defines."""
        subjects = {subject for one in state.incidents if one.is_open for subject in one.alert.subjects}
        defined = self.context.subjects() if subjects else None
        checked = [one for one in subjects if one.startswith(_DEFINED)]
        return frozenset(
            one
            for one in checked
            if defined is not None and one.removesuffix(":fired").removesuffix(WAITING) not in defined
        )

    def _summarized(self, state: AlertState) -> AlertState:
        """Return the state after the summaries that are due; the first is due at its next time of day."""
        routes, summaries = self.context.routes, dict(state.summaries)
        for name, channel in routes.channels.items():
            since = summaries.setdefault(name, self.now) if channel.summary else self.now
            if channel.summary and next_time(channel.summary, since, routes.zone) <= self.now:
                owns, groups = self.context.owns, self.context.schedules.values()
                content = read_summary(self.instance, owns, groups, state, since, self.now)
                self._notes.append((name, IncidentEvent.SUMMARY, content))
                summaries[name] = self.now
        return replace(state, summaries=summaries)
