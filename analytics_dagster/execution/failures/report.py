"""The failure report: what a run that failed comes to. One value, from which every channel tells the same story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from analytics_dagster.execution.failures.classification import FailureKind, worst


@dataclass(frozen=True)
class FailedNode:
    """A node that dbt, or a Python asset that its own code, could not build."""

    asset: str
    kind: FailureKind
    message: str
    compiled: str = ""
    """Where the SQL lies that failed, as far as it is known."""


@dataclass(frozen=True)
class FailedCheck:
    """A check that found something, or that could not be evaluated; ``rows`` is how many rows it found."""

    asset: str
    name: str
    warns: bool
    rows: int | None
    kind: FailureKind
    message: str = ""

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"{self.name} on {self.asset}"


@dataclass(frozen=True)
class FailedStep:
    """A step, or the run itself (an empty name), that ended without saying which asset failed."""

    name: str
    kind: FailureKind
    message: str
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retry:
    """What becomes of a failed run: it is run again at a moment (seconds since 1970), or it is not, and why."""

    reason: str
    due: float | None = None
    number: int = 0
    of: int = 0


@dataclass(frozen=True)
class FailureReport:
    """All that is told of a run; times are in seconds since 1970, durations in seconds.

    ``skipped`` are the assets that were not built because of what failed; ``exposures`` those whose data is stale now.
    """

    run_id: str
    job: str
    status: str = "FAILURE"
    group: str = ""
    started: float | None = None
    ended: float | None = None
    usual: float | None = None
    target: str = ""
    environment: str = ""
    commit: str = ""
    url: str = ""
    nodes: tuple[FailedNode, ...] = ()
    checks: tuple[FailedCheck, ...] = ()
    steps: tuple[FailedStep, ...] = ()
    skipped: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    retry: Retry | None = None
    built: tuple[str, ...] = field(default=(), repr=False)
    passed: tuple[str, ...] = field(default=(), repr=False)

    @property
    def seconds(self) -> float | None:
        """How long the run took."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    @cached_property
    def errors(self) -> tuple[FailedCheck, ...]:
        """The checks that failed and do not only warn."""
        return tuple(check for check in self.checks if not check.warns)

    @property
    def is_transient(self) -> bool:
        """Whether every failure of the run may be gone by itself the next time; False where nothing is known."""
        kinds = [
            *(one.kind for one in self.nodes),
            *(one.kind for one in self.errors),
            *(one.kind for one in self.steps),
        ]
        kind = worst(kinds)
        return kind is not None and kind.is_transient

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON's own values, for machines and for Dagster's metadata."""
        document: Mapping[str, Any] = _REPORTS.dump_python(self, mode="json", exclude={"built", "passed"})
        return document


_REPORTS: TypeAdapter[FailureReport] = TypeAdapter(FailureReport)
