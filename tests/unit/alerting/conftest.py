"""Fixtures of the alert tests: an instance, and a fake server for all channels."""

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
    """Give a scenario after its first tick: later failures are reported."""
    scenario = AlertScenario(instance, fake_channels)
    scenario.tick()
    return scenario
