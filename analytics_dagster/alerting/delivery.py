"""Letters are handed to their channels, and each is crossed out at once: a crash may repeat one, and loses none."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.store import AlertState, AlertStore, Notification
from analytics_dagster.redaction import redact

_FIRST_DELAY = 15.0
_LONGEST_DELAY = 3_600.0


@dataclass
class Delivery:
    """One round of deliveries. ``seconds`` is how long it may take before what is left waits for the next one."""

    notifiers: Mapping[str, Notifier]
    store: AlertStore
    digests: Collection[str] = ()
    secrets: Collection[str] = ()
    seconds: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, state: AlertState, now: float) -> AlertState:
        """Send what is due, each channel for itself, and return the state after that; it is kept after each letter."""
        end = self.clock() + self.seconds
        for channel in dict.fromkeys(notification.channel for notification in state.notifications):
            for batch in self._batches(channel, due(state.notifications, channel, now)):
                if self.clock() >= end:
                    return state
                state, continue_ = self._send(state, channel, batch, now)
                if not continue_:
                    break
        return state

    def _batches(self, channel: str, notifications: Sequence[Notification]) -> Iterator[Sequence[Notification]]:
        if channel in self.digests:
            if notifications:
                yield notifications
            return
        for notification in notifications:
            yield [notification]

    def _send(
        self, state: AlertState, channel: str, batch: Sequence[Notification], now: float
    ) -> tuple[AlertState, bool]:
        """Return the state after an attempt, and whether the channel takes more."""
        first = batch[0]
        try:
            receipt = self._send_one(state, channel, batch)
        except DeliveryError as error:
            reason = redact(str(error), self.secrets)
            self.failed.append(f"{channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
            blocked = batch if error.is_rejection else [one for one in state.notifications if one.channel == channel]
            state = postponed(state, blocked, now + delay(first.attempts, error.retry_after), reason)
            self.store.write(state)
            return state, error.is_rejection
        self.sent += [
            f"{channel}: {notification.event.value}: {notification.content.headline}" for notification in batch
        ]
        state = delivered(state, batch, receipt)
        self.store.write(state)
        return state, True

    def _send_one(self, state: AlertState, channel: str, batch: Sequence[Notification]) -> Receipt:
        notifier = self.notifiers[channel]
        try:
            if channel in self.digests:
                notifier.send_digest(batch)
                return Receipt()
            # The thread as it is now: an earlier letter of this round may have begun it.
            return notifier.send(batch[0], state.thread(batch[0].thread))
        except DeliveryError:
            raise
        except Exception as error:
            # Whatever a channel's library comes up with must keep neither other channels nor the tick from going on.
            raise DeliveryError(f"{type(error).__name__}: {error}") from error


def due(notifications: Sequence[Notification], channel: str, now: float) -> list[Notification]:
    """Return what a channel is to be told now, in the order of writing: nothing of a thread before what comes first."""
    found, waiting = [], set()
    for notification in notifications:
        if notification.channel != channel:
            continue
        if notification.not_before > now or notification.thread in waiting:
            waiting |= {notification.thread} if notification.thread else set()
        else:
            found.append(notification)
    return found


def delay(attempts: int, retry_after: float | None) -> float:
    """Return in how many seconds a channel is asked again that has failed so often before."""
    grown = min(_FIRST_DELAY * 2.0 ** min(attempts, 20), _LONGEST_DELAY)
    return grown if retry_after is None else max(retry_after, 1.0)


def postponed(state: AlertState, notifications: Collection[Notification], until: float, reason: str) -> AlertState:
    """Return the state in which letters wait longer, after an attempt in vain."""
    waiting = {notification.id for notification in notifications}
    return replace(
        state,
        notifications=tuple(
            replace(one, not_before=max(one.not_before, until), attempts=one.attempts + 1, error=reason)
            if one.id in waiting
            else one
            for one in state.notifications
        ),
    )


def delivered(state: AlertState, notifications: Collection[Notification], receipt: Receipt) -> AlertState:
    """Return the state without letters that were taken, and with what their channel calls their thread."""
    gone, threads = (
        {notification.id for notification in notifications},
        {notification.thread for notification in notifications},
    )
    return replace(
        state,
        notifications=tuple(one for one in state.notifications if one.id not in gone),
        threads=tuple(
            replace(one, reference=receipt.reference or one.reference, place=receipt.place or one.place)
            if one.id in threads
            else one
            for one in state.threads
        ),
    )
