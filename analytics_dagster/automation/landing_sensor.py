"""New files in the landing zone start ingestion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from analytics_dagster.automation.run_order import UNFINISHED
from analytics_dagster.errors import LandingZoneError
from analytics_dagster.ingestion.assets import CHECK
from analytics_dagster.ingestion.landing import LandedFile, Landing
from analytics_dagster.ingestion.sketch import Sketch, difference, identify
from analytics_dagster.ingestion.tables import LandedTable

if TYPE_CHECKING:
    from analytics_dagster.dagster_internals.asset_job import AssetJob

STARTED_BY = "analytics_dagster/started_by"
"""The tag of an ingestion run that new files started; its value is the sensor's name."""

SENSOR = "landing_sensor"

_VERSION = 1


@dataclass(frozen=True)
class Cursor:
    """Which files have been seen: for each table a sketch of all its files, and how many runs were asked for.

    The sketch has a constant size (about 3 KB a table, for ten files or a million) and tells which files are
    new whatever their time of change, and that a file which has gone is not new (`ingestion.sketch`). Where more than
    some 80 files of a table came and went between two ticks it can't tell which; then the table counts as having new
    ones: such a run may find nothing to do, but no file is missed. ``round`` makes run keys unique: a file that
    is taken away and put back is new again.
    """

    round: int = 0
    tables: Mapping[str, Sketch] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the cursor as Dagster stores it."""
        sketches = {name: sketch.to_text() for name, sketch in sorted(self.tables.items())}
        return json.dumps({"version": _VERSION, "round": self.round, "tables": sketches})

    @classmethod
    def from_text(cls, text: str | None) -> Cursor:
        """Return what a stored cursor holds; one of another version or none at all has seen no file."""
        try:
            stored = json.loads(text or "")
            if stored["version"] != _VERSION:
                return cls()
            tables = {str(name): Sketch.from_text(sketch) for name, sketch in stored["tables"].items()}
            return cls(round=int(stored["round"]), tables=tables)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Decision:
    """What a tick comes to: the tables with new files, the key of their run, and the cursor once it is asked for."""

    tables: tuple[str, ...]
    run_key: str
    cursor: Cursor


def decide(cursor: Cursor, listings: Mapping[str, Sequence[LandedFile]]) -> Decision:
    """Return which tables have files that the cursor has not seen; ``listings`` are by the table's unique id.

    The same cursor and the same files make the same run key.
    """
    new = []
    tables = {}
    for name, files in sorted(listings.items()):
        now = frozenset(identify(file.path, file.size, file.modified.timestamp()) for file in files)
        tables[name] = Sketch.of(now)
        found = difference(cursor.tables.get(name, Sketch()), now)
        if found.added if found else now:
            new.append(name)
    following = Cursor(round=cursor.round + bool(new), tables=tables)
    digest = hashlib.blake2b(following.to_text().encode(), digest_size=8).hexdigest()
    return Decision(tuple(new), f"landing-{following.round}-{digest}", following)


def build_landing_sensor(
    tables: Sequence[LandedTable],
    landing: Landing,
    *,
    job: AssetJob,
    asset_keys: Mapping[str, dg.AssetKey],
    default_status: dg.DefaultSensorStatus,
    minimum_interval_seconds: int = 30,
) -> dg.SensorDefinition:
    """Return the sensor that starts one run of the ingestion job for all tables which have new files.

    ``asset_keys`` are by the table's unique id. While a run of the job is queued or going, the cursor stays, so that
    what lands meanwhile starts the next one; it stays, too, when the landing zone can't be read. A tick
    never opens the warehouse.
    """

    @dg.sensor(
        name=SENSOR,
        job=job,
        default_status=default_status,
        minimum_interval_seconds=minimum_interval_seconds,
        description="Starts ingestion when files have landed: one run for the tables that have new ones.",
    )
    def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        filters = dg.RunsFilter(job_name=job.name, statuses=list(UNFINISHED))
        going = context.instance.get_runs(filters=filters, limit=1)
        if going:
            return dg.SkipReason(
                f"Run {going[0].run_id} of {job.name} is {going[0].status.value}: new files wait for it."
            )
        try:
            listings = {table.unique_id: landing.list_files(table) for table in tables}
        except LandingZoneError as error:
            return dg.SkipReason(str(error))
        decision = decide(Cursor.from_text(context.cursor), listings)
        cursor = decision.cursor.to_text()
        if not decision.tables:
            count = sum(len(files) for files in listings.values())
            return dg.SensorResult(skip_reason=f"None of the {count:,} files in {landing.shown} is new.", cursor=cursor)
        request = dg.RunRequest(
            run_key=decision.run_key,
            asset_selection=[asset_keys[name] for name in decision.tables],
            # Without these, dbt's tests of the sources would run along, and with them a dbt build.
            asset_check_keys=[dg.AssetCheckKey(asset_keys[name], CHECK) for name in decision.tables],
            tags={STARTED_BY: SENSOR},
        )
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return landing_sensor
