"""The failure report of a run, from which all alert channels build their messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from analytics_dagster.execution.failures.classification import FailureKind, worst


@dataclass(frozen=True)
class FailedNode:
    """A dbt node or Python asset that could not be built; ``compiled`` is the path of its SQL, if known."""

    asset: str
    kind: FailureKind
    message: str
    compiled: str = ""


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed or could not be evaluated; ``rows`` is the number of rows that it found."""

    asset: str
    name: str
    warns: bool
    rows: int | None
    kind: FailureKind
    message: str = ""

    @property
    def label(self) -> str:
        """The check and its asset, as messages name them."""
        return f"{self.name} on {self.asset}"


@dataclass(frozen=True)
class FailedStep:
    """A failed step, or the failed run itself (empty name), that names no failed node or check."""

    name: str
    kind: FailureKind
    message: str
    assets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retry:
    """Whether a failed run is retried, and why; ``due`` is the time of the retry in seconds since 1970."""

    reason: str
    due: float | None = None
    number: int = 0
    of: int = 0


@dataclass(frozen=True)
class FailureReport:
    """A run with its failures; times are in seconds since 1970, durations in seconds.

    ``usual`` is the usual duration. ``skipped`` are assets that were not built because of a failure; ``exposures`` read
    failed or skipped assets.
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
        """The duration of the run; None if it is unknown."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    @cached_property
    def errors(self) -> tuple[FailedCheck, ...]:
        """The failed checks of severity error."""
        return tuple(check for check in self.checks if not check.warns)

    @property
    def is_transient(self) -> bool:
        """Whether all failures are transient; False without any."""
        kind = worst(
            [*(one.kind for one in self.nodes), *(one.kind for one in self.errors), *(one.kind for one in self.steps)]
        )
        return kind is not None and kind.is_transient

    def to_json(self) -> Mapping[str, Any]:
        """Return the report as JSON values."""
        document: Mapping[str, Any] = _REPORTS.dump_python(self, mode="json", exclude={"built", "passed"})
        return document


_REPORTS: TypeAdapter[FailureReport] = TypeAdapter(FailureReport)
