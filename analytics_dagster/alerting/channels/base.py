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

_LONGEST_ANSWER = 30.0


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
    """A notification was not delivered, or nobody knows whether it was.

    ``retry_after`` is the number of seconds after which the channel accepts another attempt, if it says so.
    ``is_rejection`` means that the channel works and refused this notification only: others can still be sent.
    ``is_uncertain`` means that the channel has the notification and did not answer: another attempt may repeat it.
    """

    def __init__(
        self, reason: str, *, retry_after: float | None = None, is_rejection: bool = False, is_uncertain: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_rejection = is_rejection
        self.is_uncertain = is_uncertain


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


def post_json(
    service: str, url: str, body: Mapping[str, Any], timeout: float, *, token: str = "", can_repeat: bool = False
) -> Response:
    """Return the answer to a request. Raises `DeliveryError` if there is none, or if the service is not available.

    ``can_repeat`` says that a request that is sent twice has no other effect than one.
    """
    import requests  # takes 100 ms
    from urllib3.exceptions import ProtocolError

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    times = timeout, answer_timeout(timeout)
    try:
        # A redirect is not followed: it would send secrets to another address.
        response = requests.post(url, json=body, headers=headers, timeout=times, allow_redirects=False)
    except requests.RequestException as error:
        is_sent = isinstance(error, requests.ReadTimeout) or isinstance(next(iter(error.args), None), ProtocolError)
        reason = f"{service} does not answer: {type(error).__name__}"
        raise DeliveryError(reason, is_uncertain=is_sent and not can_repeat) from error
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise DeliveryError(f"{service} limits the rate of requests (429)", retry_after=_seconds(response))
    if status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}:
        raise DeliveryError(f"{service} answers {status}", is_uncertain=not can_repeat)
    return response


def _seconds(response: Response) -> float:
    """Return the `Retry-After` header; 15 seconds if it is no number."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "15")))
    except ValueError:
        return 15.0


def is_rejection(status: int) -> bool:
    """Return whether a status refuses a notification, not the channel."""
    return status in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
