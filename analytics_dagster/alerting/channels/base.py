"""What every channel does: it takes a letter, or says that it could not, and when to try again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from analytics_dagster.alerting.store import MessageThread, Notification


@dataclass(frozen=True)
class Receipt:
    """What a channel calls the first message of a thread, and where that is; empty where it has no names."""

    reference: str = ""
    place: str = ""


class DeliveryError(Exception):
    """A letter was not taken; ``retry_after`` is in how many seconds the channel wants to be asked again.

    ``of_letter`` says that the channel works, and has something against this letter alone.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, is_rejection: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_rejection = is_rejection


class Notifier(Protocol):
    """A channel that takes letters."""

    def send(self, notification: Notification, thread: MessageThread | None) -> Receipt:
        """Send a letter of a thread (of none, if it stands for itself); raises `UndeliveredError`."""

    def send_digest(self, notifications: Sequence[Notification]) -> None:
        """Send several letters as one message; raises `UndeliveredError`."""


def seconds_of(header: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header names."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
