"""The sensor that starts ingestion when files arrive in the landing zone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.earlier_cursors import is_unchanged
from analytics_dagster.automation.jobs import STARTED_BY
from analytics_dagster.automation.landing_cursor import SENSOR, LandingCursor, RequestedTable, decide
from analytics_dagster.automation.retry_decision import due_at, may_be_retried
from analytics_dagster.automation.run_order import ENDED, UNFINISHED
from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion import Ingestion
from analytics_dagster.ingestion.assets import CHECK
from analytics_dagster.ingestion.known_files import KnownFiles, file_ids
from analytics_dagster.ingestion.landing import LandedFile

if TYPE_CHECKING:
    from analytics_dagster.dagster_internals.asset_job import AssetJob

_UNREADABLE = 600.0
"""After so many seconds in which the landing zone can't be read, ticks fail, which opens an incident."""

_OVERDUE = 900.0
"""How late a retry may start, in seconds; a run that was created and not queued for this long occupies nothing."""


def build_landing_sensor(
    ingestion: Ingestion,
    *,
    job: AssetJob,
    default_status: dg.DefaultSensorStatus,
    minimum_interval_seconds: int = 30,
) -> dg.SensorDefinition:
    """Return the sensor that starts one run of the ingestion job for all tables that have new files.

    While a run of the job is in progress or will be retried, ticks are skipped. A tick never opens the warehouse: loads
    write to Dagster's storage which files they know.
    """

    @dg.sensor(
        name=SENSOR,
        job=job,
        default_status=default_status,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Starts one run of ingestion for the tables that have new files in the landing zone.",
    )
    def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        tick = _Tick(context.instance, ingestion, job.name, time.time())
        reason = tick.why_busy()
        if reason:
            return dg.SkipReason(reason)
        cursor = LandingCursor.from_text(context.cursor)
        try:
            listings = {table.unique_id: ingestion.landing.list_files(table) for table in ingestion.tables}
        except LandingZoneError as error:
            since = tick.now if cursor.unreadable is None else cursor.unreadable
            if tick.now - since > _UNREADABLE:
                raise
            text = replace(cursor, unreadable=since).to_text()
            # The listings of an earlier version stay in its own cursor.
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor if cursor.earlier else text)
        decision = decide(cursor, listings, tick.known(cursor, listings), tick.now)
        return dg.SensorResult(
            run_requests=[tick.request(decision.run_key, decision.tables)] if decision.tables else [],
            skip_reason=None if decision.tables else tick.explain(decision.cursor.requested, listings),
            cursor=decision.cursor.to_text(),
        )

    return landing_sensor


@dataclass(frozen=True)
class _Tick:
    """One evaluation of the sensor."""

    instance: dg.DagsterInstance
    ingestion: Ingestion
    job: str
    now: float

    def why_busy(self) -> str | None:
        """Return why no run can be requested now: one is unfinished, or a failed one will be retried."""
        records = self.instance.get_run_records(dg.RunsFilter(job_name=self.job, statuses=list(UNFINISHED)))
        for record in records:
            run, created = record.dagster_run, record.create_timestamp.timestamp()
            if run.status is not dg.DagsterRunStatus.NOT_STARTED or self.now - created < _OVERDUE:
                return (
                    f"Skipped: run {run.run_id} of {self.job} is {run.status.value}. "
                    "A later tick loads files that arrive during it."
                )
        for record in self.instance.get_run_records(dg.RunsFilter(job_name=self.job, statuses=list(ENDED)), limit=1):
            run = record.dagster_run
            due = due_at(run) or record.end_time or 0.0
            if may_be_retried(run, sensor_is_on=True) and self.now < due + _OVERDUE:
                return f"Skipped: run {run.run_id} of {self.job} failed and will be retried."
        return None

    def known(self, cursor: LandingCursor, listings: Mapping[str, Sequence[LandedFile]]) -> Mapping[str, KnownFiles]:
        """Return the known files of each table.

        After an upgrade there are none: then a listing that has not changed since a run that succeeded is known.
        """
        store = self.ingestion.known_files(self.instance)
        known = store.read(self.ingestion.tables)
        for table in self.ingestion.tables:
            name = table.unique_id
            if name in known or name not in cursor.earlier:
                continue
            if is_unchanged(cursor.earlier[name], listings[name]) and self._last_run_succeeded(
                self.ingestion.keys[name]
            ):
                known[name] = KnownFiles(frozenset(file_ids(listings[name])))
                store.write(table, known[name])
        return known

    def _last_run_succeeded(self, asset: dg.AssetKey) -> bool:
        filters = dg.RunsFilter(job_name=self.job, tags={STARTED_BY: SENSOR})
        runs = (run for run in self.instance.get_runs(filters, limit=20) if asset in (run.asset_selection or {asset}))
        return next((run.status is dg.DagsterRunStatus.SUCCESS for run in runs), False)

    def request(self, run_key: str, tables: Sequence[str]) -> dg.RunRequest:
        """Return the request for a run that loads these tables."""
        assets = [self.ingestion.keys[name] for name in tables]
        return dg.RunRequest(
            run_key=run_key,
            asset_selection=assets,
            # Named, since otherwise the run includes dbt's tests of the sources, and so a dbt build.
            asset_check_keys=[dg.AssetCheckKey(asset, CHECK) for asset in assets],
            tags={STARTED_BY: SENSOR},
        )

    def explain(self, requested: Mapping[str, RequestedTable], listings: Mapping[str, Sequence[LandedFile]]) -> str:
        """Return why no run is requested."""
        lines = [one.describe(self.ingestion.keys[name].to_user_string()) for name, one in requested.items()]
        count = sum(len(files) for files in listings.values())
        return " ".join(lines) or f"None of the {count:,} files in {self.ingestion.landing.shown} is new."
