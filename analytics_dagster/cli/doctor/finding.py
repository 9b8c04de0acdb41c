"""What a check finds: how it stands with one thing, and the remedy where it is not well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from analytics_dagster.errors import AnalyticsError


class Status(str, Enum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, or will; somebody may want to know."""
    ERROR = "error"
    """Something will not work."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it stands with it, and what to do."""

    check: str
    status: Status
    said: str
    remedy: str = ""


def well(check: str, said: str) -> Finding:
    """Return the finding that nothing is to be done."""
    return Finding(check, Status.OK, said)


def doubt(check: str, said: str, remedy: str) -> Finding:
    """Return a finding that somebody may want to know of."""
    return Finding(check, Status.WARNING, said, remedy)


def ill(check: str, said: str, remedy: str) -> Finding:
    """Return the finding that something will not work."""
    return Finding(check, Status.ERROR, said, remedy)


def of_error(check: str, error: AnalyticsError) -> Finding:
    """Return the finding of an error that a user can mend."""
    return ill(check, error.problem, error.remedy)
