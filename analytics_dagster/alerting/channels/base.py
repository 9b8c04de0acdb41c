"""The interface of all channels: send a notification, or raise an error that says when to try again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from analytics_dagster.alerting.store import MessageThread, Notification


@dataclass(frozen=True)
class Receipt:
    """The channel's own id of a thread's first message, and of the place where it was posted; empty if it has none."""

    reference: str = ""
    channel_id: str = ""


class DeliveryError(Exception):
    """A notification was not delivered.

    ``retry_after`` is the number of seconds after which the channel accepts another attempt, if it says so.
    ``is_rejection`` means that the channel works and refused this notification only: others can still be sent.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, is_rejection: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_rejection = is_rejection


class Notifier(ABC):
    """Sends the notifications of one channel."""

    @abstractmethod
    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Send a notification in its thread. Raises `DeliveryError`."""

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Send several notifications as one message. Raises `DeliveryError`."""
        raise NotImplementedError("only email has digests")


def rate_limited(service: str, retry_after: str | None) -> DeliveryError:
    """Return the error for status 429; ``retry_after`` is the `Retry-After` header, in seconds."""
    try:
        seconds = max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        seconds = None
    return DeliveryError(f"{service} limits the rate of requests (429)", retry_after=seconds)
