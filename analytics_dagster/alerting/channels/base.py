"""The interface of all channels: send a notification, or raise an error that says what is known about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from analytics_dagster.alerting.store import MessageThread, Notification

if TYPE_CHECKING:
    from requests import Response

_LONGEST_ANSWER = 30.0
_REJECTIONS = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
_UNCERTAIN = {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(frozen=True)
class Receipt:
    """The channel's own id of a thread's first message, and of the place where it was posted; empty if it has none.

    ``refused`` are the addresses that a mail server did not accept; others received the message.
    """

    reference: str = ""
    channel_id: str = ""
    refused: tuple[str, ...] = ()

    def written_to(self, thread: MessageThread) -> MessageThread:
        """Return a thread with these ids."""
        reference, channel_id = self.reference or thread.reference, self.channel_id or thread.channel_id
        return replace(thread, reference=reference, channel_id=channel_id)


class DeliveryError(Exception):
    """The channel is not available. ``retry_after`` is when it accepts another attempt, in seconds, if it says so."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RejectedError(DeliveryError):
    """The channel works and refused this notification only: others can still be sent."""


class UncertainError(DeliveryError):
    """The channel has the notification and did not answer: another attempt may repeat the message."""


class Notifier(ABC):
    """Sends the notifications of one channel; with ``is_digest`` all that are due as one message."""

    is_digest: bool = False

    @abstractmethod
    def send(self, notification: Notification, thread: MessageThread) -> Receipt:
        """Send a notification in its thread. Raises `DeliveryError`."""

    def send_digest(self, notifications: Sequence[Notification]) -> Receipt:
        """Send several notifications as one message. Raises `DeliveryError`."""
        raise NotImplementedError("only email has digests")


def answer_timeout(timeout: float) -> float:
    """Return how long an answer may take, in seconds: a slow channel must not receive a message twice."""
    return max(timeout, min(3 * timeout, _LONGEST_ANSWER))


@dataclass(frozen=True)
class WebApi:
    """A web API that takes JSON. Errors do not contain its ``secret``."""

    name: str
    url: str
    secret: str
    timeout: float

    def post(
        self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, can_repeat: bool = False
    ) -> Response:
        """Return the answer to a request. Raises `DeliveryError` if there is none, or an error.

        ``can_repeat`` says that a request that is sent twice has no other effect than one.
        """
        import requests  # takes 100 ms
        from urllib3.exceptions import ProtocolError

        times = self.timeout, answer_timeout(self.timeout)
        uncertain = DeliveryError if can_repeat else UncertainError
        try:
            # A redirect is not followed: it would send secrets to another address.
            response = requests.post(self.url, json=body, headers=headers, timeout=times, allow_redirects=False)
        except requests.RequestException as error:
            is_sent = isinstance(error, requests.ReadTimeout) or isinstance(next(iter(error.args), None), ProtocolError)
            kind = uncertain if is_sent else DeliveryError
            raise kind(f"{self.name} does not answer: {type(error).__name__}") from error
        status, pause = response.status_code, response.headers.get("Retry-After", "")
        reason = f"{self.name} answers {status} {response.text[:200].replace(self.secret, '***')}".rstrip()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise DeliveryError(reason, retry_after=float(pause) if pause.isdecimal() else 15.0)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            kind = RejectedError if status in _REJECTIONS else uncertain if status in _UNCERTAIN else DeliveryError
            raise kind(reason)
        return response
