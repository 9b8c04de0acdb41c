"""The sensor that starts ingestion when files arrive in the landing zone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from analytics_dagster.automation.run_order import UNFINISHED
from analytics_dagster.dagster_internals.asset_job import AssetJob
from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion.assets import CHECK
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.tables import LandedTable

STARTED_BY = "analytics_dagster/started_by"
"""The tag of an ingestion run that the sensor started; its value is the sensor's name."""

SENSOR = "landing_sensor"

_VERSION = 2


@dataclass(frozen=True)
class LandingCursor:
    """A hash of each table's files as of the last evaluated tick, by the table's unique id.

    The hash says only whether the files changed; the ledger in the warehouse decides which of them are new, so a run
    may find nothing to load. ``round`` counts the requested runs and makes their run keys unique: a file that is
    removed and put back starts another run.
    """

    round: int = 0
    listings: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the cursor as Dagster stores it."""
        return json.dumps({"version": _VERSION, "round": self.round, "listings": dict(sorted(self.listings.items()))})

    @classmethod
    def from_text(cls, text: str | None) -> LandingCursor:
        """Return a stored cursor; one of version 1, which had no hashes, has only its ``round``."""
        try:
            stored = json.loads(text or "")
            listings = stored["listings"] if stored["version"] == _VERSION else {}
            return cls(int(stored["round"]), {str(name): str(listing) for name, listing in listings.items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class LandingDecision:
    """The tables whose files changed, the key of their run, and the cursor after it is requested."""

    tables: tuple[str, ...]
    run_key: str
    cursor: LandingCursor


def decide(cursor: LandingCursor, listings: Mapping[str, Sequence[LandedFile]]) -> LandingDecision:
    """Return which tables have other files than at the last tick; ``listings`` are by the table's unique id.

    A table without files has nothing to load. The same cursor and files give the same run key.
    """
    hashes = {name: _hash(files) for name, files in listings.items()}
    changed = tuple(name for name in sorted(listings) if listings[name] and hashes[name] != cursor.listings.get(name))
    following = LandingCursor(round=cursor.round + bool(changed), listings=hashes)
    digest = hashlib.blake2b(following.to_text().encode(), digest_size=8).hexdigest()
    return LandingDecision(changed, f"landing-{following.round}-{digest}", following)


def _hash(files: Sequence[LandedFile]) -> str:
    lines = sorted(repr((file.path, file.size, file.modified.timestamp())) for file in files)
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def build_landing_sensor(
    tables: Sequence[LandedTable],
    landing: Landing,
    *,
    job: AssetJob,
    asset_keys: Mapping[str, dg.AssetKey],
    default_status: dg.DefaultSensorStatus,
    minimum_interval_seconds: int = 30,
) -> dg.SensorDefinition:
    """Return the sensor that starts one run of the ingestion job for all tables whose files changed.

    ``asset_keys`` are by the table's unique id. While a run of the job is in progress, or the landing zone can't be
    read, ticks are skipped and the cursor stays: a later tick sees the same changes. A tick never opens the warehouse.
    """

    @dg.sensor(
        name=SENSOR,
        job=job,
        default_status=default_status,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Starts one run of ingestion for the tables whose files in the landing zone changed.",
    )
    def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        filters = dg.RunsFilter(job_name=job.name, statuses=list(UNFINISHED))
        unfinished = context.instance.get_runs(filters=filters, limit=1)
        if unfinished:
            return dg.SkipReason(
                f"Skipped: run {unfinished[0].run_id} of {job.name} is {unfinished[0].status.value}. "
                "A later tick loads files that arrive during it."
            )
        try:
            listings = {table.unique_id: landing.list_files(table) for table in tables}
        except LandingZoneError as error:
            return dg.SkipReason(str(error))
        decision = decide(LandingCursor.from_text(context.cursor), listings)
        cursor = decision.cursor.to_text()
        if not decision.tables:
            count = sum(len(files) for files in listings.values())
            return dg.SensorResult(skip_reason=f"None of the {count:,} files in {landing.shown} is new.", cursor=cursor)
        request = dg.RunRequest(
            run_key=decision.run_key,
            asset_selection=[asset_keys[name] for name in decision.tables],
            # Named, since otherwise the run includes dbt's tests of the sources, and so a dbt build.
            asset_check_keys=[dg.AssetCheckKey(asset_keys[name], CHECK) for name in decision.tables],
            tags={STARTED_BY: SENSOR},
        )
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return landing_sensor
