"""Finds the retry policy of a run: how many retries the schedule groups file allows, and after which delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from analytics_dagster.automation.jobs import INGESTION
from analytics_dagster.planning.groups import GROUP_TAG, Backoff, IngestionRuns, ScheduleGroup


class RetryPolicy(Protocol):
    """The retry settings of a schedule group or of ingestion."""

    @property
    def retries(self) -> int:
        """The maximum number of retries."""

    @property
    def retry_delay(self) -> int:
        """The delay of the first retry, in seconds."""

    @property
    def retry_backoff(self) -> Backoff:
        """How the delay grows."""


@dataclass(frozen=True)
class RetryPolicies:
    """The policies of a location: of its schedule groups by name, and of ingestion.

    ``assets`` maps each asset of the location's jobs to the name of its schedule group, or to ingestion's.
    """

    groups: Mapping[str, ScheduleGroup]
    ingestion: IngestionRuns
    assets: Mapping[dg.AssetKey, str]

    def of(self, run: dg.DagsterRun) -> RetryPolicy | None:
        """Return the policy of a run; None if it has none.

        A run that somebody started in the UI may have assets of several groups: it gets the fewest retries of them.
        """
        if GROUP_TAG in run.tags:
            return self.groups.get(run.tags[GROUP_TAG])
        if run.job_name == INGESTION:
            return self.ingestion
        checked = {check.asset_key for check in run.asset_check_selection or ()}
        names = {self.assets[asset] for asset in {*(run.asset_selection or ()), *checked} if asset in self.assets}
        found: list[RetryPolicy] = [self.ingestion if name == INGESTION else self.groups[name] for name in names]
        return min(found, key=lambda policy: policy.retries, default=None)
