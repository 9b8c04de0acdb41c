"""The fixtures of the alert tests."""

from __future__ import annotations

from tests.unit.alerting.conftest import fake_channels, instance, scenario

__all__ = ["fake_channels", "instance", "scenario"]
