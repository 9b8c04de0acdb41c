"""How often a run may be run again, and after which time: what the schedule groups' file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from analytics_dagster.automation.jobs import GROUP_TAG, INGESTION
from analytics_dagster.planning.groups import Backoff, IngestionRuns, ScheduleGroup


class RetryPolicy(Protocol):
    """What the file says: of a schedule group, or of ingestion."""

    @property
    def retries(self) -> int:
        """How often at most."""

    @property
    def retry_delay(self) -> int:
        """After how many seconds the first time."""

    @property
    def retry_backoff(self) -> Backoff:
        """How that time grows."""


@dataclass(frozen=True)
class RetryPolicies:
    """The policies of a location: of its schedule groups by their names, and of ingestion.

    ``assets`` are those that jobs of the location build, each with its schedule group, or with ingestion's name.
    """

    groups: Mapping[str, ScheduleGroup]
    ingestion: IngestionRuns
    assets: Mapping[dg.AssetKey, str]

    def of(self, run: dg.DagsterRun) -> RetryPolicy | None:
        """Return the policy of a run; None where nothing is said of it.

        What somebody has materialized in the UI may be of several groups: then it is that with the fewest retries.
        """
        if GROUP_TAG in run.tags:
            return self.groups.get(run.tags[GROUP_TAG])
        if run.job_name == INGESTION:
            return self.ingestion
        checked = {check.asset_key for check in run.asset_check_selection or ()}
        names = {self.assets[asset] for asset in {*(run.asset_selection or ()), *checked} if asset in self.assets}
        found: list[RetryPolicy] = [self.ingestion if name == INGESTION else self.groups[name] for name in names]
        return min(found, key=lambda policy: policy.retries, default=None)
