"""The Slack bot of the alerts, and the resource for assets."""

from __future__ import annotations

from dagster_slack import SlackResource
from slack_sdk import WebClient

from analytics_dagster.alerting.channels.slack_resource import SlackApiResource
from tests.unit.alerting.alert_scenario import BINDER, AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels

BOT = "xoxb-hunter2"


def test_the_resource_is_a_slack_resource_with_address_and_timeout_of_the_settings(fake_channels: FakeChannels) -> None:
    api_url = fake_channels.slack_api_url.rstrip("/")
    resource = SlackApiResource(token=BOT, api_url=api_url, timeout=0.4)
    assert isinstance(resource, SlackResource)
    client = resource.get_client()
    assert type(client) is WebClient
    assert (client.token, client.base_url, client.timeout) == (BOT, fake_channels.slack_api_url, 1)
    assert client.chat_postMessage(channel="#data", text="hello")["ok"]


def test_the_bot_sends_its_token_to_the_address_of_the_settings(scenario: AlertScenario) -> None:
    scenario.run(model_1=BINDER)
    scenario.tick()
    [request] = [one for one in scenario.fake_channels.requests if one.method == "chat.postMessage"]
    assert request.headers["Authorization"] == "Bearer xoxb-hunter2"
