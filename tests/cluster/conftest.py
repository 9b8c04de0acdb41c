"""Prints the timings that cluster tests measured at the end of the test run."""

from __future__ import annotations

from typing import TypeAlias

import pytest

Timings: TypeAlias = dict[str, float]
_TIMINGS = pytest.StashKey[Timings]()


@pytest.fixture(scope="session")
def timings(pytestconfig: pytest.Config) -> Timings:
    """Return the measured seconds by name, to which tests add."""
    return pytestconfig.stash.setdefault(_TIMINGS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the timings."""
    timings = config.stash.get(_TIMINGS, {})
    if timings:
        terminalreporter.section("timings")
    for name, seconds in timings.items():
        terminalreporter.write_line(f"{seconds:6.1f} s  {name}")
