"""Turns observations into stored notifications, and sends these at least once: the state is stored after each one.

Channels send at the same time. A notification that fails does not block others; after too many attempts it becomes a
dead letter, which is an incident of its channel.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels import build_notifiers
from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt, RejectedError, UncertainError
from analytics_dagster.alerting.incidents import Alert, IncidentEvent, Observation, Severity
from analytics_dagster.alerting.outbox import Note, Outbox
from analytics_dagster.alerting.routes import Routes
from analytics_dagster.alerting.routing import CHANNEL
from analytics_dagster.alerting.store import AlertState, AlertStore, DeadLetter, Notification
from analytics_dagster.execution.failures.classification import FailureKind
from analytics_dagster.execution.failures.deployment import DeploymentInfo
from analytics_dagster.redaction import redact
from analytics_dagster.settings import Settings
from analytics_dagster.text import pluralize

_SECONDS = 10.0
"""How long new attempts start; with the longest answer this is less than a sensor may take."""

_ATTEMPTS: Mapping[type[DeliveryError], tuple[float, int]] = {
    DeliveryError: (15.0, 20),
    RejectedError: (15.0, 3),
    UncertainError: (600.0, 3),
}
"""The first delay in seconds, which doubles, and the number of attempts; 20 take about 14 hours."""

_LONGEST_DELAY = 3_600.0
_STRUGGLING = 5
"""After this many failed attempts other channels are told that a channel does not deliver."""

_FAILURES = 2
"""After this many failures in a row, a channel is not tried again in the same tick."""

_KEPT = 50
_SINGLE = {IncidentEvent.SUMMARY, IncidentEvent.SUCCEEDED}
"""What a digest does not contain."""


@dataclass
class Dispatcher:
    """Applies observations to a stored state, and sends what follows. ``sent`` and ``failed`` are lines for logs."""

    routes: Routes
    environment: str
    store: AlertStore
    notifiers: Mapping[str, Notifier]
    secrets: Collection[str]
    now: float
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @classmethod
    def build(
        cls, settings: Settings, routes: Routes, deployment: DeploymentInfo, store: AlertStore, source: str
    ) -> Dispatcher:
        """Return a dispatcher for now; ``source`` names the sender."""
        notifiers = build_notifiers(settings, routes, f"{source} in {deployment.environment}")
        return cls(routes, deployment.environment, store, notifiers, deployment.secrets, time.time())

    def apply(
        self, before: AlertState, state: AlertState, observations: Iterable[Observation], notes: Iterable[Note] = ()
    ) -> AlertState:
        """Queue what follows from observations, send what is due, and return the state after that.

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
        return self._deliver(state)

    def _deliver(self, state: AlertState) -> AlertState:
        channels = {one.channel for one in state.notifications} & self.notifiers.keys()
        waiting = {name: deque(self._batches(state, name)) for name in channels}
        running: dict[Future[Receipt], Sequence[Notification]] = {}
        failures, end, crash = Counter[str](), time.monotonic() + _SECONDS, None
        with ThreadPoolExecutor(max_workers=len(channels) or 1) as pool:
            while True:
                for name in channels - {batch[0].channel for batch in running.values()}:
                    if waiting[name] and failures[name] < _FAILURES and time.monotonic() < end and not crash:
                        batch = waiting[name].popleft()
                        running[pool.submit(self._send, state, batch)] = batch
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    batch, error = running.pop(future), future.exception()
                    if error is None:
                        state = self._delivered(state, batch, future.result(), failures)
                    elif isinstance(error, Exception):
                        state = self._postponed(state, batch, error, failures)
                    else:
                        crash = error
                    self.store.write(state)
        if crash:
            raise crash
        return state

    def _batches(self, state: AlertState, channel: str) -> Iterator[Sequence[Notification]]:
        """Yield what is sent together. What failed least comes first: a notification that fails blocks no other."""
        ready = sorted(due(state.notifications, channel, self.now), key=lambda one: one.attempts)
        together = [one for one in ready if self.notifiers[channel].is_digest and one.event not in _SINGLE]
        yield from [together] if together else []
        yield from ([one] for one in ready if one not in together)

    def _send(self, state: AlertState, batch: Sequence[Notification]) -> Receipt:
        first, notifier = batch[0], self.notifiers[batch[0].channel]
        if notifier.is_digest and first.event not in _SINGLE:
            return notifier.send_digest(batch)
        # An earlier notification of this round may have started the thread.
        return notifier.send(first, state.thread(first))

    def _delivered(
        self, state: AlertState, batch: Sequence[Notification], receipt: Receipt, failures: Counter[str]
    ) -> AlertState:
        """Return the state without sent notifications. Addresses that a mail server refused are dead letters."""
        channel, ids, threads = batch[0].channel, {one.id for one in batch}, {one.thread for one in batch}
        self.sent += [f"{channel}: {one.event.value}: {one.content.headline}" for one in batch]
        failures[channel] = 0
        refused = [(one, ", ".join(to for to in receipt.refused if to in one.to)) for one in batch]
        dead = [replace(one, error=f"the mail server refused {to}") for one, to in refused if to]
        return replace(
            state,
            notifications=tuple(one for one in state.notifications if one.id not in ids),
            threads=tuple(receipt.written_to(one) if one.id in threads else one for one in state.threads),
            undeliverable=(*state.undeliverable, *(DeadLetter(one, self.now) for one in dead))[-_KEPT:],
            delivered={**state.delivered, channel: self.now},
        )

    def _postponed(
        self, state: AlertState, batch: Sequence[Notification], failure: Exception, failures: Counter[str]
    ) -> AlertState:
        """Return the state after a failed attempt. If the channel is down, its other notifications wait, too."""
        # A bug in a channel's client must not stop the other channels.
        error = failure if isinstance(failure, DeliveryError) else DeliveryError(f"{type(failure).__name__}: {failure}")
        first, channel, reason = batch[0], batch[0].channel, redact(str(error), self.secrets)
        self.failed.append(f"{channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
        failures[channel] = 0 if isinstance(error, RejectedError) else failures[channel] + 1
        if error.retry_after is not None:
            failures[channel] = _FAILURES
        tried = {one.id: replace(one, attempts=one.attempts + 1, error=reason) for one in batch}
        dead = [one for one in tried.values() if one.attempts >= _ATTEMPTS[type(error)][1]]
        until, is_down = self.now + retry_delay(first.attempts, error), failures[channel] >= _FAILURES
        waiting = [
            replace(tried.get(one.id, one), not_before=max(one.not_before, until))
            if one.id in tried or (is_down and one.channel == channel)
            else one
            for one in state.notifications
            if tried.get(one.id) not in dead
        ]
        letters = (*state.undeliverable, *(DeadLetter(one, self.now) for one in dead))
        return replace(state, notifications=tuple(waiting), undeliverable=letters[-_KEPT:])


def due(notifications: Sequence[Notification], channel: str, now: float) -> list[Notification]:
    """Return a channel's notifications that can be sent now; within a thread the order is kept."""
    found, waiting = list[Notification](), set[str]()
    for notification in notifications:
        if notification.channel == channel and (notification.not_before > now or notification.thread in waiting):
            waiting |= {notification.thread} if notification.thread else set()
        elif notification.channel == channel:
            found.append(notification)
    return found


def retry_delay(attempts: int, error: DeliveryError) -> float:
    """Return the seconds until the next attempt, after ``attempts`` earlier failures."""
    if error.retry_after is not None:
        return max(error.retry_after, 1.0)
    return min(_ATTEMPTS[type(error)][0] * 2.0 ** min(attempts, 20), _LONGEST_DELAY)


def observe_channels(state: AlertState, now: float) -> Iterator[Observation]:
    """Yield the channels that gave up a notification or have failed repeatedly, and those that have delivered. Pure."""
    for letter in state.undeliverable:
        if not letter.is_reported and letter.notification.channel:
            yield Observation(now, (_undelivered(letter.notification, now, "Given up"),))
    for note in state.notifications:
        if note.attempts >= _STRUGGLING:
            yield Observation(note.queued, (_undelivered(note, note.queued, "Not sent yet"),))
    for channel, moment in state.delivered.items():
        yield Observation(moment, succeeded=frozenset({f"{CHANNEL}{channel}"}))


def _undelivered(note: Notification, moment: float, what: str) -> Alert:
    key = f"{CHANNEL}{note.channel}"
    title = f"the channel {note.channel} does not deliver"
    message = f"{what} after {pluralize(note.attempts, 'attempt')}: {note.content.headline}\n{note.error}"
    severity = Severity.CRITICAL if note.content.severity is Severity.CRITICAL else Severity.ERROR
    return Alert(key, title, FailureKind.CODE, severity, moment, message, (key,))
