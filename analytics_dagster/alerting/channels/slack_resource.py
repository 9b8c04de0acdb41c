"""The Slack client of the alerts and of users' assets. A module of its own, as it takes 60 ms to import."""

from __future__ import annotations

from dagster_slack import SlackResource
from slack_sdk import WebClient


class SlackApiResource(SlackResource):
    """`SlackResource` with the API address and the timeout (in seconds) of the settings."""

    api_url: str
    timeout: float

    def get_client(self) -> WebClient:
        """Return a client for the Slack Web API."""
        client = super().get_client()
        client.base_url = f"{self.api_url.rstrip('/')}/"
        client.timeout = max(1, round(self.timeout))
        return client
