"""What tests of the cluster have timed is told at their end."""

from __future__ import annotations

from typing import TypeAlias

import pytest

Timings: TypeAlias = dict[str, float]
_TOLD = pytest.StashKey[Timings]()


@pytest.fixture(scope="session")
def told(pytestconfig: pytest.Config) -> Timings:
    """Give what a test puts a time into, in seconds, by what it was the time of."""
    return pytestconfig.stash.setdefault(_TOLD, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the times."""
    timings = config.stash.get(_TOLD, {})
    if timings:
        terminalreporter.section("timings")
    for name, seconds in timings.items():
        terminalreporter.write_line(f"{seconds:6.1f} s  {name}")
