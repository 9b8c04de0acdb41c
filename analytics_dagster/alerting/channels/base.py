"""The interface of all channels: send a notification, or raise an error that says when to try again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    from requests import Response


@dataclass(frozen=True)
class Receipt:
    """The channel's own id of a thread's first message, and of the place where it was posted; empty if it has none."""

    reference: str = ""
    channel_id: str = ""

    def written_to(self, thread: MessageThread) -> MessageThread:
        """Return a thread with these ids."""
        reference, channel_id = self.reference or thread.reference, self.channel_id or thread.channel_id
        return replace(thread, reference=reference, channel_id=channel_id)


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
    """Sends the notifications of one channel; with ``is_digest`` all that are due as one message."""

    is_digest: bool = False

    @abstractmethod
    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Send a notification in its thread. Raises `DeliveryError`."""

    def send_digest(self, notifications: Sequence[Notification]) -> Receipt:
        """Send several notifications as one message. Raises `DeliveryError`."""
        raise NotImplementedError("only email has digests")


def post_json(service: str, url: str, body: Mapping[str, Any], timeout: float) -> Response:
    """Return the answer to a request. Raises `DeliveryError` if there is none, or if it limits the rate."""
    import requests  # takes 100 ms

    try:
        # A redirect is not followed: it would send secrets to another address.
        response = requests.post(url, json=body, timeout=timeout, allow_redirects=False)
    except requests.RequestException as error:
        raise DeliveryError(f"{service} does not answer: {type(error).__name__}") from error
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise rate_limited(service, response.headers.get("Retry-After"))
    return response


def rate_limited(service: str, retry_after: str | None) -> DeliveryError:
    """Return the error for status 429; ``retry_after`` is the `Retry-After` header, in seconds."""
    try:
        seconds = max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        seconds = None
    return DeliveryError(f"{service} limits the rate of requests (429)", retry_after=seconds)
