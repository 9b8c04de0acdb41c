"""Sends queued notifications at least once: the state is stored after each one.

Channels send at the same time. A notification that fails does not block others; after too many attempts it becomes a
dead letter, which other channels, the UI and `analytics-dagster alerts` report.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.incidents import IncidentEvent
from analytics_dagster.alerting.store import AlertState, AlertStore, DeadLetter, Notification
from analytics_dagster.redaction import redact

_SECONDS = 10.0
"""How long new attempts start; with the longest answer this is less than a sensor may take."""
_FIRST_DELAY, _FIRST_UNCERTAIN_DELAY = 15.0, 600.0
_LONGEST_DELAY = 3_600.0
_MOST_ATTEMPTS, _MOST_REJECTIONS, _MOST_UNCERTAIN = 20, 3, 3
_FAILURES_OF_CHANNEL = 2
"""After this many failures in a row, a channel is not tried again in the same tick."""
_KEPT = 50
_SINGLE = {IncidentEvent.SUMMARY, IncidentEvent.SUCCEEDED}
"""What a digest does not contain."""


@dataclass
class Delivery:
    """Sends what is due. ``sent`` and ``failed`` are lines for logs."""

    notifiers: Mapping[str, Notifier]
    store: AlertStore
    secrets: Collection[str] = ()
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, state: AlertState, now: float) -> AlertState:
        """Send what is due and return the state after that; the rest stays queued."""
        channels = dict.fromkeys(one.channel for one in state.notifications if one.channel in self.notifiers)
        waiting = {name: deque(self._batches(state, name, now)) for name in channels}
        running: dict[Future[Receipt], tuple[str, Sequence[Notification]]] = {}
        failures, end, crash = Counter[str](), time.monotonic() + _SECONDS, None
        with ThreadPoolExecutor(max_workers=len(channels) or 1) as pool:
            while True:
                for name in channels.keys() - {name for name, _ in running.values()}:
                    if waiting[name] and failures[name] < _FAILURES_OF_CHANNEL and time.monotonic() < end and not crash:
                        batch = waiting[name].popleft()
                        running[pool.submit(self._send, state, name, batch)] = name, batch
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name, batch = running.pop(future)
                    error = future.exception()
                    if error is None:
                        self.sent += [f"{name}: {one.event.value}: {one.content.headline}" for one in batch]
                        state, failures[name] = delivered(state, batch, future.result(), now), 0
                    elif isinstance(error, Exception):
                        state, failures[name] = self._failed(state, batch, error, now, failures[name])
                    crash = crash if error is None or isinstance(error, Exception) else error
                    self.store.write(state)
        if crash:
            raise crash
        return state

    def _batches(self, state: AlertState, channel: str, now: float) -> Iterator[Sequence[Notification]]:
        """Yield what is sent together. What failed least comes first: a notification that fails blocks no other."""
        ready = sorted(due(state.notifications, channel, now), key=lambda one: one.attempts)
        together = [one for one in ready if self.notifiers[channel].is_digest and one.event not in _SINGLE]
        yield from [together] if together else []
        yield from ([one] for one in ready if one not in together)

    def _send(self, state: AlertState, channel: str, batch: Sequence[Notification]) -> Receipt:
        notifier = self.notifiers[channel]
        is_digest = notifier.is_digest and batch[0].event not in _SINGLE
        # An earlier notification of this round may have started the thread.
        return notifier.send_digest(batch) if is_digest else notifier.send(batch[0], state.thread(batch[0]))

    def _failed(
        self, state: AlertState, batch: Sequence[Notification], failure: Exception, now: float, failures: int
    ) -> tuple[AlertState, int]:
        """Return the state after a failed attempt, and the failures in a row of the channel itself."""
        # A bug in a channel's client must not stop the other channels.
        error = failure if isinstance(failure, DeliveryError) else DeliveryError(f"{type(failure).__name__}: {failure}")
        first, reason = batch[0], redact(str(error), self.secrets)
        self.failed.append(f"{first.channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
        failures = 0 if error.is_rejection else failures + 1
        until, limit = now + retry_delay(first.attempts, error), most_attempts(error)
        tried = {one.id: replace(one, attempts=one.attempts + 1, error=reason) for one in batch}
        if error.retry_after is not None:
            failures = _FAILURES_OF_CHANNEL
        is_down = failures >= _FAILURES_OF_CHANNEL
        kept, dead = list[Notification](), list(state.undeliverable)
        for one in state.notifications:
            after = tried.get(one.id, one)
            if one.id in tried and after.attempts >= limit:
                dead.append(DeadLetter(after, now))
                continue
            waits = one.id in tried or (is_down and one.channel == first.channel)
            kept.append(replace(after, not_before=max(after.not_before, until)) if waits else after)
        return replace(state, notifications=tuple(kept), undeliverable=tuple(dead[-_KEPT:])), failures


def due(notifications: Sequence[Notification], channel: str, now: float) -> list[Notification]:
    """Return a channel's notifications that can be sent now; within a thread the order is kept."""
    found, waiting = list[Notification](), set[str]()
    for notification in notifications:
        if notification.channel != channel:
            continue
        if notification.not_before > now or notification.thread in waiting:
            waiting |= {notification.thread} if notification.thread else set()
        else:
            found.append(notification)
    return found


def retry_delay(attempts: int, error: DeliveryError) -> float:
    """Return the seconds until the next attempt, after ``attempts`` earlier failures."""
    if error.retry_after is not None:
        return max(error.retry_after, 1.0)
    first = _FIRST_UNCERTAIN_DELAY if error.is_uncertain else _FIRST_DELAY
    return min(first * 2.0 ** min(attempts, 20), _LONGEST_DELAY)


def most_attempts(error: DeliveryError) -> int:
    """Return after how many attempts a notification is given up; 20 take about 14 hours."""
    if error.is_rejection:
        return _MOST_REJECTIONS
    return _MOST_UNCERTAIN if error.is_uncertain else _MOST_ATTEMPTS


def delivered(state: AlertState, batch: Collection[Notification], receipt: Receipt, now: float) -> AlertState:
    """Return the state without sent notifications, with the channel's ids in their threads.

    An email whose server refused some addresses is a dead letter for these.
    """
    ids, threads = {one.id for one in batch}, {one.thread for one in batch}
    refused = [(one, [to for to in receipt.refused if to in one.to]) for one in batch]
    error = "the mail server refused "
    dead = [DeadLetter(replace(one, error=f"{error}{', '.join(to)}"), now) for one, to in refused if to]
    return replace(
        state,
        notifications=tuple(one for one in state.notifications if one.id not in ids),
        threads=tuple(receipt.written_to(one) if one.id in threads else one for one in state.threads),
        undeliverable=(*state.undeliverable, *dead)[-_KEPT:],
        delivered={**state.delivered, **{one.channel: now for one in batch}},
    )
