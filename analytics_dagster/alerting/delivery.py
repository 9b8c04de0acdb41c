"""Sends queued notifications at least once: the state is stored after each one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.store import AlertState, AlertStore, MessageThread, Notification
from analytics_dagster.redaction import redact

_SECONDS = 30.0
_FIRST_DELAY = 15.0
_LONGEST_DELAY = 3_600.0


@dataclass
class Delivery:
    """Sends what is due, for at most 30 seconds; the rest stays queued. ``sent`` and ``failed`` are lines for logs."""

    notifiers: Mapping[str, Notifier]
    store: AlertStore
    digests: Collection[str] = ()
    secrets: Collection[str] = ()
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, state: AlertState, now: float) -> AlertState:
        """Send what is due, channel by channel, and return the state after that."""
        end = time.monotonic() + _SECONDS
        for channel in dict.fromkeys(one.channel for one in state.notifications):
            ready = due(state.notifications, channel, now)
            for batch in [ready] if ready and channel in self.digests else [[one] for one in ready]:
                if time.monotonic() >= end:
                    return state
                state, is_available = self._send(state, channel, batch, now)
                if not is_available:
                    break
        return state

    def _send(
        self, state: AlertState, channel: str, batch: Sequence[Notification], now: float
    ) -> tuple[AlertState, bool]:
        """Return the state after an attempt, and whether the channel can receive more."""
        first = batch[0]
        try:
            receipt = self._call(state, channel, batch)
        except DeliveryError as error:
            reason = redact(str(error), self.secrets)
            self.failed.append(f"{channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
            blocked = batch if error.is_rejection else [one for one in state.notifications if one.channel == channel]
            state = postponed(state, blocked, now + retry_delay(first.attempts, error.retry_after), reason)
            self.store.write(state)
            return state, error.is_rejection
        self.sent += [f"{channel}: {one.event.value}: {one.content.headline}" for one in batch]
        state = delivered(state, batch, receipt)
        self.store.write(state)
        return state, True

    def _call(self, state: AlertState, channel: str, batch: Sequence[Notification]) -> Receipt:
        notifier = self.notifiers[channel]
        try:
            if channel in self.digests:
                notifier.send_digest(batch)
                return Receipt()
            # An earlier notification of this round may have started the thread.
            return notifier.send(batch[0], state.thread(batch[0]))
        except DeliveryError:
            raise
        except Exception as error:
            # A bug in a channel's client must not stop the other channels.
            raise DeliveryError(f"{type(error).__name__}: {error}") from error


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


def retry_delay(attempts: int, retry_after: float | None) -> float:
    """Return the seconds until the next attempt, after ``attempts`` earlier failures."""
    if retry_after is not None:
        return max(retry_after, 1.0)
    return min(_FIRST_DELAY * 2.0 ** min(attempts, 20), _LONGEST_DELAY)


def postponed(state: AlertState, notifications: Collection[Notification], until: float, reason: str) -> AlertState:
    """Return the state after a failed attempt: these notifications wait until a later time."""
    ids = {one.id for one in notifications}
    waiting = tuple(_postponed(one, until, reason) if one.id in ids else one for one in state.notifications)
    return replace(state, notifications=waiting)


def _postponed(notification: Notification, until: float, reason: str) -> Notification:
    not_before = max(notification.not_before, until)
    return replace(notification, not_before=not_before, attempts=notification.attempts + 1, error=reason)


def delivered(state: AlertState, notifications: Collection[Notification], receipt: Receipt) -> AlertState:
    """Return the state without sent notifications, and with the channel's ids in their threads."""
    ids, threads = {one.id for one in notifications}, {one.thread for one in notifications}
    return replace(
        state,
        notifications=tuple(one for one in state.notifications if one.id not in ids),
        threads=tuple(_with_ids(one, receipt) if one.id in threads else one for one in state.threads),
    )


def _with_ids(thread: MessageThread, receipt: Receipt) -> MessageThread:
    reference = receipt.reference or thread.reference
    return replace(thread, reference=reference, channel_id=receipt.channel_id or thread.channel_id)
