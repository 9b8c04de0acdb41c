"""Turns observations into stored and sent notifications; what cannot be delivered is an incident of its channel."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from analytics_dagster.alerting import routing
from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.content import Content
from analytics_dagster.alerting.delivery import Delivery
from analytics_dagster.alerting.incidents import Alert, IncidentEvent, Observation, Severity
from analytics_dagster.alerting.outbox import Outbox
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.store import AlertState, AlertStore, Notification
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.settings import Settings
from analytics_dagster.text import pluralize

_STRUGGLING = 5
"""After this many failed attempts other channels are told that a channel does not deliver."""

Note: TypeAlias = tuple[str, IncidentEvent, Content]
"""A message that is not about an incident: the channel, the event and what it says."""


@dataclass
class Dispatcher:
    """Applies observations to a stored state, and sends what follows."""

    routes: Routes
    environment: str
    store: AlertStore
    delivery: Delivery
    now: float

    @classmethod
    def build(
        cls, settings: Settings, routes: Routes, deployment: DeploymentInfo, store: AlertStore, source: str
    ) -> Dispatcher:
        """Return a dispatcher for now; ``source`` names the sender."""
        environment, secrets = deployment.environment, deployment.secrets
        notifiers = build_notifiers(settings, routes, f"{source} in {environment}")
        return cls(routes, environment, store, Delivery(notifiers, store, secrets), time.time())

    @property
    def failed(self) -> list[str]:
        """A line for each failed attempt."""
        return self.delivery.failed

    @property
    def lines(self) -> list[str]:
        """A line for each attempt."""
        return [*self.delivery.sent, *self.delivery.failed]

    def apply(
        self, before: AlertState, state: AlertState, observations: Iterable[Observation], notes: Iterable[Note] = ()
    ) -> AlertState:
        """Queue what follows from observations, send it, and return the state after that.

        The queue is stored before the first notification is sent, so that a crash loses none. ``before`` is what is
        stored: an unchanged state is not written.
        """
        outbox = Outbox(state, self.routes, self.environment, self.now)
        outbox.add([*observations, *observe_channels(state, self.now)])
        lost = [one.notification for one in state.undeliverable if not one.is_reported and not one.notification.channel]
        everywhere = [name for name, channel in self.routes.channels.items() if not channel.pagerduty]
        for note in (*notes, *((name, one.event, one.content) for one in lost for name in everywhere)):
            outbox.announce(*note)
        reported = tuple(replace(one, is_reported=True) for one in state.undeliverable)
        state = replace(outbox.state, undeliverable=reported)
        if state != before:
            self.store.write(state)
        return self.delivery.run(state, self.now)


def observe_channels(state: AlertState, now: float) -> Iterator[Observation]:
    """Yield the channels that gave up a notification or have failed repeatedly, and those that have delivered. Pure."""
    for letter in state.undeliverable:
        if not letter.is_reported and letter.notification.channel:
            yield Observation(now, (_undelivered(letter.notification, now, "Given up"),))
    for note in state.notifications:
        if note.attempts >= _STRUGGLING:
            yield Observation(note.queued, (_undelivered(note, note.queued, "Not sent yet"),))
    for channel, moment in state.delivered.items():
        yield Observation(moment, succeeded=frozenset({f"{routing.CHANNEL}{channel}"}))


def _undelivered(note: Notification, moment: float, what: str) -> Alert:
    key = f"{routing.CHANNEL}{note.channel}"
    title = f"the channel {note.channel} does not deliver"
    message = f"{what} after {pluralize(note.attempts, 'attempt')}: {note.content.headline}\n{note.error}"
    severity = Severity.CRITICAL if note.content.severity is Severity.CRITICAL else Severity.ERROR
    return Alert(key, title, FailureKind.CODE, severity, moment, message, (key,))
