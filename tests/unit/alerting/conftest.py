"""What the tests of alerts share: an instance, and the server that every channel leads to."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from tests.unit.alerting.exchange import Exchange, opened_exchange
from tests.unit.alerting.town import Town


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with opened_exchange() as found:
        yield found


@pytest.fixture
def town(instance: dg.DagsterInstance, exchange: Exchange) -> Town:
    """Give a town whose alerts have looked once, so that what follows is news."""
    town = Town(instance, exchange)
    town.look()
    return town
