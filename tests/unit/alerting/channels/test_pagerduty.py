"""PagerDuty through the real HTTP client, against the fake server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from analytics_dagster.alerting.channels.base import DeliveryError, RejectedError
from analytics_dagster.alerting.channels.pagerduty import PagerDuty
from analytics_dagster.alerting.content import Content, Section
from analytics_dagster.alerting.incidents import IncidentEvent, Severity
from analytics_dagster.alerting.store import MessageThread, Notification
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels

KEY = "hunter2-key"
THREAD = MessageThread("t1", "on_call", "all", ("i1",))


def pagerduty(url: str, timeout: float = 2.0) -> PagerDuty:
    return PagerDuty(SecretStr(KEY), url, timeout, "shop in prod")


def notification(event: IncidentEvent = IncidentEvent.OPENED) -> Notification:
    sections = (Section("Why", "Binder Error", is_code=True),)
    links = (("Open the run", "https://dagster.example.com/runs/1"),)
    content = Content(event, Severity.CRITICAL, "orders failed", (("job", "nightly"),), sections, links)
    return Notification("n1", "t1", "on_call", event, content, 0.0)


def failed(notifier: PagerDuty) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        notifier.send(notification(), THREAD)
    assert KEY not in str(raised.value)
    return raised.value


def test_an_incident_is_triggered_and_resolved_with_one_dedup_key(fake_channels: FakeChannels) -> None:
    notifier = pagerduty(fake_channels.pagerduty_url)
    receipt = notifier.send(notification(), THREAD)
    notifier.send(notification(IncidentEvent.RECOVERED), THREAD)
    trigger, resolve = fake_channels.accepted("pager")
    assert trigger == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "analytics_dagster/t1",
        "client": "Dagster",
        "links": [{"href": "https://dagster.example.com/runs/1", "text": "Open the run"}],
        "payload": {
            "summary": "orders failed",
            "source": "shop in prod",
            "severity": "critical",
            "custom_details": {"job": "nightly", "Why": "Binder Error"},
        },
    }
    assert (resolve["event_action"], resolve["dedup_key"]) == ("resolve", receipt.reference)
    assert fake_channels.requests[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "is_rejection"), [(400, True), (401, False), (403, False), (500, False), (503, False)]
)
def test_only_a_bad_request_is_a_rejection_of_the_event(
    fake_channels: FakeChannels, status: int, *, is_rejection: bool
) -> None:
    fake_channels.fail("pager", status, body=f'{{"message": "invalid key {KEY}"}}')
    error = failed(pagerduty(fake_channels.pagerduty_url))
    assert str(error).startswith(f"PagerDuty answers {status} ")
    assert isinstance(error, RejectedError) is is_rejection
    assert error.retry_after is None


@pytest.mark.parametrize(("header", "seconds"), [("90", 90.0), ("soon", 15.0), ("", 15.0), ("-5", 15.0)])
def test_the_retry_after_header_is_read_or_replaced_by_fifteen_seconds(
    fake_channels: FakeChannels, header: str, seconds: float
) -> None:
    fake_channels.fail("pager", 429, headers={"Retry-After": header})
    error = failed(pagerduty(fake_channels.pagerduty_url))
    assert error.retry_after == seconds
    assert type(error) is DeliveryError


@pytest.fixture
def other_server() -> Iterator[FakeChannels]:
    with open_fake_channels() as found:
        yield found


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_its_target_does_not_get_the_key(
    fake_channels: FakeChannels, other_server: FakeChannels, status: int
) -> None:
    fake_channels.fail("pager", status, headers={"Location": other_server.pagerduty_url})
    error = failed(pagerduty(fake_channels.pagerduty_url))
    assert str(error).startswith(f"PagerDuty answers {status}")
    assert type(error) is DeliveryError
    assert not other_server.requests


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v2/enqueue", "http://[", "ftp://127.0.0.1/v2/enqueue"])
def test_a_server_that_cannot_be_reached_is_a_temporary_error(url: str) -> None:
    error = failed(pagerduty(url))
    assert str(error).startswith("PagerDuty does not answer: ")
    assert type(error) is DeliveryError


def test_a_server_that_stalls_is_a_temporary_error_after_the_timeout(fake_channels: FakeChannels) -> None:
    fake_channels.stall["pager"] = 1.0
    error = failed(pagerduty(fake_channels.pagerduty_url, timeout=0.2))
    assert str(error) == "PagerDuty does not answer: ReadTimeout"
