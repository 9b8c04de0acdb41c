"""Sends queued notifications at least once: the state is stored after each one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels.base import DeliveryError, Notifier, Receipt
from analytics_dagster.alerting.store import AlertState, AlertStore, Notification
from analytics_dagster.redaction import redact

_SECONDS = 30.0
_FIRST_DELAY = 15.0
_LONGEST_DELAY = 3_600.0


@dataclass
class Delivery:
    """Sends what is due, for at most 30 seconds; the rest stays queued. ``sent`` and ``failed`` are lines for logs."""

    notifiers: Mapping[str, Notifier]
    store: AlertStore
    secrets: Collection[str] = ()
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, state: AlertState, now: float) -> AlertState:
        """Send what is due, channel by channel, and return the state after that."""
        end = time.monotonic() + _SECONDS
        for channel in dict.fromkeys(one.channel for one in state.notifications):
            ready = due(state.notifications, channel, now)
            for batch in [ready] if ready and self.notifiers[channel].is_digest else [[one] for one in ready]:
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
        first, notifier = batch[0], self.notifiers[channel]
        try:
            # An earlier notification of this round may have started the thread.
            receipt = notifier.send_digest(batch) if notifier.is_digest else notifier.send(first, state.thread(first))
        except Exception as failure:  # noqa: BLE001 - a bug in a channel's client must not stop the other channels
            error = (
                failure if isinstance(failure, DeliveryError) else DeliveryError(f"{type(failure).__name__}: {failure}")
            )
            reason, until = redact(str(error), self.secrets), now + retry_delay(first.attempts, error.retry_after)
            self.failed.append(f"{channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
            blocked = batch if error.is_rejection else [one for one in state.notifications if one.channel == channel]
            waiting = {one.id: _postponed(one, until, reason) for one in blocked}
            notifications = tuple(waiting.get(one.id, one) for one in state.notifications)
            state, is_available = replace(state, notifications=notifications), error.is_rejection
        else:
            self.sent += [f"{channel}: {one.event.value}: {one.content.headline}" for one in batch]
            state, is_available = _delivered(state, batch, receipt), True
        self.store.write(state)
        return state, is_available


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


def _postponed(notification: Notification, until: float, reason: str) -> Notification:
    not_before = max(notification.not_before, until)
    return replace(notification, not_before=not_before, attempts=notification.attempts + 1, error=reason)


def _delivered(state: AlertState, notifications: Collection[Notification], receipt: Receipt) -> AlertState:
    """Return the state without sent notifications, and with the channel's ids in their threads."""
    ids, threads = {one.id for one in notifications}, {one.thread for one in notifications}
    return replace(
        state,
        notifications=tuple(one for one in state.notifications if one.id not in ids),
        threads=tuple(receipt.written_to(one) if one.id in threads else one for one in state.threads),
    )
