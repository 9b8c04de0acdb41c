"""One tick of the alerts: reads what happened since the last one, and queues and sends the notifications."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dagster as dg

from analytics_dagster.alerting import routing
from analytics_dagster.alerting.dispatch import Dispatcher, Note
from analytics_dagster.alerting.incidents import IncidentEvent, Observation
from analytics_dagster.alerting.instigators import observe_ticks, read_ticks
from analytics_dagster.alerting.runs import LocationContext, RunObserver
from analytics_dagster.alerting.store import AlertState
from analytics_dagster.alerting.summary import read_ended, read_freshness, summarize

_DEFINED = ("asset:", "check:", "job:", "schedule:", "sensor:")
"""The prefixes of subjects that a location defines."""


@dataclass
class AlertMonitor:
    """Monitors the runs, sensors and schedules of a location, and sends alerts."""

    instance: dg.DagsterInstance
    context: LocationContext
    dispatcher: Dispatcher

    @property
    def now(self) -> float:
        """The time of the tick."""
        return self.dispatcher.now

    def tick(self) -> AlertState:
        """Queue and send the notifications of a tick, and return the state after that."""
        before = self.dispatcher.store.read(self.now)
        runs = RunObserver(self.instance, self.context, self.now)
        state, observations = runs.observe(before)
        if self.context.retries:
            with self._isolated("sensors and schedules"):
                observations.append(self._observe_ticks(state))
        with self._isolated("what the location defines"):
            observations.append(Observation(self.now, gone=self._gone(state)))
        notes = list(runs.notes)
        with self._isolated("the daily summary"):
            state, summaries = self._summarized(state)
            notes += summaries
        return self.dispatcher.apply(before, state, observations, notes)

    @contextmanager
    def _isolated(self, what: str) -> Iterator[None]:
        """Log an error in one part of a tick: it must not stop the alerts about others."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self.dispatcher.failed.append(f"{what} could not be read: {self.context.as_text(error)}")

    def _observe_ticks(self, state: AlertState) -> Observation:
        context, secrets = self.context, self.context.deployment.secrets
        ticks = read_ticks(self.instance, context.name, context.instigators)
        return observe_ticks(ticks, context.schedules, began=state.began, now=self.now, secrets=secrets)

    def _gone(self, state: AlertState) -> frozenset[str]:
        """Return the subjects of open incidents that the location no longer defines."""
        subjects = {subject for one in state.incidents if one.is_open for subject in one.alert.subjects}
        defined = self.context.subjects() if subjects else None
        checked = [one for one in subjects if one.startswith(_DEFINED)]
        return frozenset(one for one in checked if defined is not None and one.removesuffix(":fired") not in defined)

    def _summarized(self, state: AlertState) -> tuple[AlertState, list[Note]]:
        """Return the state after the summaries that are due, and these; the first is due at its next time of day."""
        routes, summaries, notes = self.context.routes, dict(state.summaries), list[Note]()
        for name, channel in routes.channels.items():
            since = summaries.setdefault(name, self.now) if channel.summary else self.now
            if channel.summary and routing.next_time(channel.summary, since, routes.zone) <= self.now:
                runs = read_ended(self.instance, self.context.owns, since)
                groups = read_freshness(self.instance, self.context.owns, self.context.schedules.values())
                notes.append((name, IncidentEvent.SUMMARY, summarize(state, runs, groups, since, self.now)))
                summaries[name] = self.now
        return replace(state, summaries=summaries), notes
