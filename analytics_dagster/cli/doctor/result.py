"""A check of the doctor and its results: ok, or a warning or an error with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from analytics_dagster.errors import AnalyticsError

Clocks = dict[str, datetime]
"""The time by the clocks of other systems, by the name of the system, which checks collect."""


class CheckStatus(str, Enum):
    """How serious a result is."""

    OK = "ok"
    WARNING = "warning"
    """It works, or will work, but needs attention."""
    ERROR = "error"
    """Something does not work."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found; ``check`` is the name of the check."""

    check: str
    status: CheckStatus
    message: str
    remedy: str = ""

    def to_json(self) -> Mapping[str, str]:
        """Return what `doctor --json` prints of it."""
        return {"check": self.check, "status": self.status.value, "said": self.message, "remedy": self.remedy}


@dataclass(frozen=True)
class Check:
    """Makes the results of the check with a name."""

    name: str

    def ok(self, message: str) -> CheckResult:
        """Return the result that nothing needs to be done."""
        return CheckResult(self.name, CheckStatus.OK, message)

    def warning(self, message: str, remedy: str) -> CheckResult:
        """Return the result that something needs attention."""
        return CheckResult(self.name, CheckStatus.WARNING, message, remedy)

    def error(self, message: str, remedy: str) -> CheckResult:
        """Return the result that something does not work."""
        return CheckResult(self.name, CheckStatus.ERROR, message, remedy)

    def failed(self, error: AnalyticsError) -> CheckResult:
        """Return the result for an error that has a remedy."""
        return self.error(error.problem, error.remedy)
