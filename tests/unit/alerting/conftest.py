"""What the tests of alerts share: an instance, and the server that every channel leads to."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from tests.unit.alerting.alert_scenario import AlertScenario
from tests.unit.alerting.fake_channels import FakeChannels, open_fake_channels


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def fake_channels() -> Iterator[FakeChannels]:
    with open_fake_channels() as found:
        yield found


@pytest.fixture
def scenario(instance: dg.DagsterInstance, fake_channels: FakeChannels) -> AlertScenario:
    """Give a town whose alerts have looked once, so that what follows is news."""
    scenario = AlertScenario(instance, fake_channels)
    scenario.tick()
    return scenario
